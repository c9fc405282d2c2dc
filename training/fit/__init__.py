"""Fitting: functions from interactions to frozen models."""
