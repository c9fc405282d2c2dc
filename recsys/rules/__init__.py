"""Rules: what merchandisers want of lists, whatever the models think."""
