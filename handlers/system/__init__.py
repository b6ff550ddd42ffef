"""Endpoints that belong to no dialect."""
