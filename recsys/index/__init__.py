"""Nearest vectors by inner product, searched inside an eligibility."""
