"""The client of PostgreSQL: hosts, connections, timeouts, prepared statements."""
