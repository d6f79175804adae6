"""JSON Schemas (draft 2020-12) of what pyimgano reads and writes, for tools in other languages.

An object that pyimgano alone fills is closed: a property that is not described is an error. ``schemas/`` in the
repository holds the same as files, written by ``tools/write_schemas.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SCHEMAS", "VERSIONS", "json_schema"]

SCHEMAS: Mapping[str, str] = {
    "run-config": "a run config: what `train --config` reads, and a run's config.json",
    "per-image": "one line of a run's per_image.jsonl, and of the JSONL that `infer` writes",
    "report": "a run's report.json",
    "category-report": "a category's report.json in a run",
    "curves": "a category's curves.json in a run",
    "environment": "a run's environment.json",
    "calibration-card": "a run's artifacts/calibration_card.json",
    "infer-config": "a run's artifacts/infer_config.json",
    "split": "a run's artifacts/split.json",
    "image-statistics": "a run's artifacts/image_statistics.json",
    "leaderboard": "a benchmark's leaderboard.json",
    "shards": "the predictions.json that `infer` and `bundle run` write beside shards",
    "robustness": "the robustness.json of `robust-benchmark`",
    "submission": "the file beside what `runs submission` writes",
    "comparison": "what `runs compare --json` prints",
    "plan": "what `train --dry-run --json` prints",
    "audit": "what `datasets audit --json` prints, and its audit.json",
    "drift": "what `runs drift --json` prints",
    "bundle": "a bundle's bundle.json",
    "bundle-manifest": "a bundle's manifest.json",
    "bundle-parity": "a bundle's parity.json: the exported detector beside the trained one",
    "bundle-sample": "the expected.json of a bundle's sample",
}
"""Name → what it describes."""

VERSIONS: Mapping[str, int] = {
    "run-config": 1,
    "per-image": 2,
    "report": 1,
    "category-report": 2,
    "curves": 1,
    "environment": 1,
    "calibration-card": 2,
    "infer-config": 2,
    "split": 1,
    "image-statistics": 1,
    "leaderboard": 1,
    "shards": 1,
    "robustness": 1,
    "submission": 1,
    "comparison": 1,
    "plan": 1,
    "audit": 1,
    "drift": 1,
    "bundle": 1,
    "bundle-manifest": 1,
    "bundle-parity": 1,
    "bundle-sample": 1,
}
"""Name → the version that is described: what ``schema_version`` says in the file; for records, ``per_image_schema`` in
the report beside them."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema called ``name``, one of :data:`SCHEMAS`.

    Raises
    ------
    KeyError
        When there is none of that name.
    """
    body = _body(name, VERSIONS[name])
    head = {"$schema": DRAFT, "$id": f"urn:pyimgano:schema:{name}:{VERSIONS[name]}"}
    return {**head, "title": name, "description": SCHEMAS[name], **body}


def _body(name: str, number: int) -> dict[str, Any]:
    # Late: they stand below, and one of them brings pydantic.
    from pyimgano.workbench.schemas import (
        artifacts,
        audit,
        benchmark,
        bundles,
        calibration,
        drift,
        metrics,
        plan,
        records,
        reports,
        robustness,
        shards,
    )

    if name == "run-config":
        from pyimgano.workbench.config import run_config_schema

        own = ("$schema", "title", "description")
        return {key: part for key, part in run_config_schema().items() if key not in own}
    if name == "per-image":
        return records.per_image_schema()
    if name == "category-report":
        card, record = VERSIONS["calibration-card"], VERSIONS["per-image"]
        return reports.category_report_schema(number, card=card, record=record)
    if name == "comparison":
        from pyimgano.workbench.compare.schema import comparison_schema

        return comparison_schema()
    makers = {
        "report": reports.report_schema,
        "curves": metrics.curves_schema,
        "environment": artifacts.environment_schema,
        "calibration-card": calibration.calibration_cards_schema,
        "infer-config": artifacts.infer_config_schema,
        "split": artifacts.split_schema,
        "image-statistics": drift.image_statistics_schema,
        "drift": drift.drift_schema,
        "submission": artifacts.submission_schema,
        "plan": plan.plan_schema,
        "audit": audit.audit_schema,
        "leaderboard": benchmark.leaderboard_schema,
        "robustness": robustness.robustness_schema,
        "shards": shards.shards_schema,
        "bundle": bundles.bundle_schema,
        "bundle-manifest": bundles.manifest_schema,
        "bundle-parity": bundles.parity_schema,
        "bundle-sample": bundles.sample_schema,
    }
    return makers[name](number)
