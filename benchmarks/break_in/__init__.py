"""Attacks on what the program reads, writes and measures on, repeated and counted."""
