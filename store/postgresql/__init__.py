"""PostgreSQL itself: hosts, connections, deadlines, prepared statements."""
