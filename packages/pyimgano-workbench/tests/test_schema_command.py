"""``pyimgano schema``, and the files of ``schemas/`` that hold the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyimgano.cli.main import main
from pyimgano.core.files import load_json
from pyimgano.workbench.records import RECORD_FIELDS
from pyimgano.workbench.schemas import SCHEMAS, VERSIONS, json_schema

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_the_command_prints_each_schema_with_its_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json_schema(name)
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert printed["$id"] == f"urn:pyimgano:schema:{name}:{VERSIONS[name]}"
    assert printed["properties"].get("schema_version", {"const": VERSIONS[name]})["const"] == VERSIONS[name]
    Draft202012Validator.check_schema(printed)


def test_names_are_listed_and_near_ones_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["schema"], ["schema", "--list"]):
        assert main(arguments) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCHEMAS)
    assert main(["schema", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["version"], one["of"]) for one in listed] == [
        (name, VERSIONS[name], text) for name, text in SCHEMAS.items()
    ]
    assert main(["schema", "run-confg"]) == 2
    assert "run-config" in capsys.readouterr().err
    assert main(["schema", "run-config", "--list"]) == 2


def test_the_files_in_the_repository_are_up_to_date(tmp_path: Path) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "write_schemas.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    names = {path.name for path in (ROOT / "schemas").glob("*.json")}
    assert names == {f"{name}.schema.json" for name in SCHEMAS}
    assert load_json(ROOT / "schemas" / "per-image.schema.json") == json_schema("per-image")


@pytest.mark.parametrize(
    "record",
    [
        {"image": "a.png"},
        {"image": "a.png", "score": 1.0, "error": "x"},
        {"image": "a.png", "error": "x", "decision": "good"},
        {"image": "a.png", "score": "1.0"},
        {"image": "a.png", "score": 1.0, "verdict": "good"},
        {"image": "a.png", "score": 1.0, "decision": "unsure"},
        {"image": "a.png", "score": 1.0, "p_value": 0.0},
        {"image": "a.png", "score": 1.0, "regions": [{"box": [0, 0, 5], "area": 4, "score": 1.0}]},
        {"image": "a.png", "score": 1.0, "regions": [{"box": [0, 0, 5.5, 5], "area": 4, "score": 1.0}]},
        {"image": "a.png", "score": 1.0, "regions": [{"box": [0, 0, 5, 5], "area": 4}]},
        {"score": 1.0},
    ],
)
def test_the_schema_of_records_refuses_what_is_none(record: dict[str, Any]) -> None:
    assert not Draft202012Validator(json_schema("per-image")).is_valid(record)


def test_every_field_of_a_record_is_described() -> None:
    assert set(json_schema("per-image")["properties"]) == set(RECORD_FIELDS)
