"""Frozen arrays that score items. Fitting them is the business of `training`."""
