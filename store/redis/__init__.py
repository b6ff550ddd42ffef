"""The client of Redis: one server, a primary behind Sentinels, or a cluster."""
