"""One network on a phone's CPU and GPU at the same time: measured, searched, exported."""

__version__ = "0.2.0"
