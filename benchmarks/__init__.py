"""Benchmarks of pyimgano beside anomalib, both measured in one run: ``python -m benchmarks``."""
