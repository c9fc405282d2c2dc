"""What is known of a customer: taken out as one file, erased everywhere, looked for everywhere."""
