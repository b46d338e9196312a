"""What PostgreSQL has and Django has not; knows no app of the project."""
