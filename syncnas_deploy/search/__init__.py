"""The search: strategy space, channel widths under a latency budget, tree search, evaluators and the loop."""
