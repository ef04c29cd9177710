"""Devices whose truth is known."""
