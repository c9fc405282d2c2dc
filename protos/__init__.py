"""The wire schema, and beside each source the modules generated from it."""
