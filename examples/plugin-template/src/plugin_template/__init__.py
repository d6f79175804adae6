"""Roughness inspection for pyimgano. Nothing is imported here: listings come by."""
