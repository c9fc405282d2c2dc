"""The lake: Delta tables of all that happened, made from the log, read by jobs and people."""
