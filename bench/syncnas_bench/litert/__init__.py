"""LiteRT's libraries for devices: where they come from, and where they are kept."""
