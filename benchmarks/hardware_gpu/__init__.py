"""A machine with a hardware GPU for fifteen minutes: what to measure there, and how to bring it. See `__main__`."""
