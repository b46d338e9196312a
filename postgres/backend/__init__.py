"""Django's PostgreSQL backend with sessions whose settings hold, whatever is between (`postgres.sessions`)."""
