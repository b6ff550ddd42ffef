"""Accounts by the million, in and out."""
