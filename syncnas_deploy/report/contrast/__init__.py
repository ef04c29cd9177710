"""Several measurements of one kind beside each other: what differs, by how much, and whether that can be chance.

Each module knows one kind of file, refuses what cannot be compared, and gives back sheets. `text` and `html` show them.
"""
