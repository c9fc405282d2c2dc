"""The durable log of everything that came in, and the lake it drains into."""
