"""Drawings: architectures and learning curves, as SVG and PNG."""
