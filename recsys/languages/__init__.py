"""The languages a shop speaks: sentences as templates, in one file for each language."""
