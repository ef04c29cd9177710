"""What answers from measurements: profiles, curves, the latency table, predictions."""
