"""A bundle on a device: both branches at once, and baselines beside them."""
