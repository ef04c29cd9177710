"""The search for the best network within a latency budget: the loop, its candidates, and what it found."""
