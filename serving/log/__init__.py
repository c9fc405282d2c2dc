"""The durable log of everything that came in: one SQLite file."""
