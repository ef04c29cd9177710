"""Latency: what to measure on a device, the profile that comes out of it, and what a network will take."""
