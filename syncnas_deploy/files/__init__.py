"""Files: strict JSON in, whole files out, and journals that survive a kill."""
