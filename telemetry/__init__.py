"""Metrics, traces and the log. This package imports nothing else of the project."""
