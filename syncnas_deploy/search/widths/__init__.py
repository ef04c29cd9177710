"""The widths of a strategy within a latency budget (channel determination)."""
