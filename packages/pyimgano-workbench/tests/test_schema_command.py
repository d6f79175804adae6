"""The JSON Schemas describe what runs and `infer` really write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyimgano.cli.main import main
from pyimgano.core.files import load_json
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.records import RECORD_FIELDS
from pyimgano.workbench.schemas import SCHEMAS, json_schema
from pyimgano.workbench.training import run_recipe

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def violations(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str = "$") -> list[str]:
    """Check what our schemas use of draft 2020-12; an unknown keyword fails."""
    known = {"$schema", "$defs", "title", "description", "default", "format", "properties", "required", "items"}
    known |= {"additionalProperties", "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "$ref"}
    known |= {"exclusiveMaximum", "anyOf", "oneOf", "not", "minLength", "minItems", "maxItems", "prefixItems"}
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    found = []
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    fits = any(isinstance(value, TYPES[k]) and (k == "boolean" or not isinstance(value, bool)) for k in kinds)
    if not fits and not ("integer" not in kinds and isinstance(value, bool) and "boolean" in kinds):
        return [f"{place}: {value!r} is no {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{place}: {value!r}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{place}: {value!r}")
    if isinstance(value, (int, float)):
        found += [f"{place}: {value}"] * (value < schema.get("minimum", value) or value > schema.get("maximum", value))
        found += [f"{place}: {value}"] * (value <= schema.get("exclusiveMinimum", value - 1))
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{place}.{key} is missing" for key in schema.get("required", ()) if key not in value]
        for key, part in value.items():
            other = schema.get("additionalProperties", True)
            if key in properties:
                found += violations(part, properties[key], root, f"{place}.{key}")
            elif other is False:
                found.append(f"{place}.{key} is not described")
            elif isinstance(other, dict):
                found += violations(part, other, root, f"{place}.{key}")
    if isinstance(value, list) and "items" in schema:
        for index, part in enumerate(value):
            found += violations(part, schema["items"], root, f"{place}[{index}]")
    if "not" in schema and not violations(value, schema["not"], root):
        found.append(f"{place}: {schema['not']}")
    for word, wanted in (("anyOf", None), ("oneOf", 1)):
        if word in schema:
            matches = sum(not violations(value, part, root) for part in schema[word])
            found += [f"{place}: {matches} of {word}"] * (matches < 1 or (wanted is not None and matches != wanted))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with pictures, an unreadable test image, and metrics that are not defined."""
    top = tmp_path_factory.mktemp("schema")
    write_textures(top / "textures", seed=0)
    (top / "textures" / "brick" / "test" / "good" / "bad.png").write_bytes(b"no image")
    flags = {
        "dataset.root": top / "textures",
        "dataset.categories": ["brick", "grass"],
        "model.name": "pixel-gaussian",
        "output.dir": top / "runs",
        "output.overlays": True,
        "max_errors": 1,
    }
    return run_recipe(load_run_config(flags=flags)).path


def check(name: str, value: Any) -> None:
    schema = json_schema(name)
    assert violations(value, schema, schema) == []


def test_a_runs_files_keep_to_their_schemas(run: Path) -> None:
    check("report", load_json(run / "report.json"))
    check("run-config", load_json(run / "config.json"))
    check("calibration-card", load_json(run / "artifacts" / "calibration_card.json"))
    failed = 0
    for category in (run / "categories").iterdir():
        check("category-report", load_json(category / "report.json"))
        for line in (category / "per_image.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            check("per-image", record)
            failed += "error" in record
    assert failed == 1


@pytest.mark.parametrize(
    "record",
    [
        {"image": "a.png"},
        {"image": "a.png", "score": 1.0, "error": "x"},
        {"image": "a.png", "error": "x", "decision": "good"},
        {"image": "a.png", "score": "1.0"},
        {"image": "a.png", "score": 1.0, "verdict": "good"},
        {"score": 1.0},
    ],
)
def test_the_schema_of_records_refuses_what_is_none(record: dict) -> None:
    schema = json_schema("per-image")
    assert violations(record, schema, schema) != []


def test_every_field_of_a_record_is_described() -> None:
    assert tuple(json_schema("per-image")["properties"]) == RECORD_FIELDS


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_the_command_prints_each(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json_schema(name)
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_names_are_listed_and_near_ones_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCHEMAS)
    assert main(["schema", "run-confg"]) == 2
    assert "run-config" in capsys.readouterr().err
