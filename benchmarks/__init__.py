"""How fast, and how well: each file answers the question in its name."""
