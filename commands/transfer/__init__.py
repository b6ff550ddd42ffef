"""Applications move in, and out: their accounts and their tokens, in files."""
