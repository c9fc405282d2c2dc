"""What is wanted lately: counted by the supervisor, read by workers."""
