"""Colour inspection for pyimgano."""
