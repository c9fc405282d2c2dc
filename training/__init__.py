"""The offline jobs: from the lake to a bundle, and whether it may be served."""
