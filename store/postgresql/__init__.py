"""PostgreSQL itself: connections, deadlines, prepared statements, the schema and its migrations."""
