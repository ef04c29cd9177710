"""Measuring a device for a base model."""
