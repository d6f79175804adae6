"""The rows of the table: one module per group, each with ``measure(options) -> Outcome``."""

from __future__ import annotations

GROUPS = {
    "patchcore-fit": "benchmarks.rows.patchcore_fit",
    "coreset": "benchmarks.rows.coreset",
    "latency": "benchmarks.rows.latency",
    "export": "benchmarks.rows.export",
    "padim-fit": "benchmarks.rows.padim_fit",
    "tiling": "benchmarks.rows.tiling",
    "training": "benchmarks.rows.training",
    "augmentation": "benchmarks.rows.augmentation",
    "suite": "benchmarks.rows.suite",
    "metrics": "benchmarks.rows.metrics",
    "service": "benchmarks.rows.service",
    "cli": "benchmarks.rows.cli",
    "quality": "benchmarks.rows.quality",
}
ONLY_FULL = frozenset({"quality"})
