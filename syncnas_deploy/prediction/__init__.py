"""Answers from measurements: profiles, curves, the latency table, predictions. Nothing here measures."""
