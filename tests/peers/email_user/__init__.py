"""A Django app with a user model whose accounts have no username."""
