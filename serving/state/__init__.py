"""What serving remembers of each customer: keys, store, and the embedded server behind it."""
