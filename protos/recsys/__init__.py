"""Wire packages by version."""
