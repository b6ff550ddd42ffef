"""The dialects, one module each, and modules that several of them share."""
