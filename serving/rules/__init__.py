"""What merchandisers do with rules: apply them, look at what they do, take them back."""
