"""``pyimgano robust-benchmark``: announced, not there yet."""

from __future__ import annotations

__all__ = ["robust_benchmark"]


def robust_benchmark() -> None:
    """Benchmark under drift of light, focus and position (arrives with a later release)."""
    from pyimgano.core.errors import ConfigError

    raise ConfigError(
        "the benchmark under drift of light, focus and position arrives with a later release",
        where="robust-benchmark",
        hint="pyimgano benchmark compares models on a dataset as it is",
    )
