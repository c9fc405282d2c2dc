"""Jobs that answer for many customers at once."""
