"""The dialects, one module each, and what several of them share."""
