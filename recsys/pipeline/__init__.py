"""The one way to make a recommendation: filter, retrieve, rank, select."""
