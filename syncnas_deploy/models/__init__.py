"""Models: what a network is (config), where it is cut (segments), how it runs (torch) and how it lowers (graphs)."""
