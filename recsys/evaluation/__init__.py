"""How good a bundle is: splits in time, metrics with intervals, replay of the real placements."""
