"""Channel determination: the widths of a strategy within a latency budget."""
