"""`pyimgano runs gate`: values, bounds and numbers of images that a run must have."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import pytest

from pyimgano.core.errors import ConfigError, UnknownNameError
from pyimgano.workbench.compare import measured_run
from pyimgano.workbench.compare.requirements import Check, check_requirements, parse_minimum, parse_requirement

Runs = Mapping[str, Path]


def checks(run: Path, *texts: str, **options: Any) -> dict[tuple[Optional[str], str], Check]:
    requirements = [parse_requirement(text) for text in texts]
    found = check_requirements(measured_run(run), requirements, **options)
    return {(check.category, check.requirement): check for check in found}


def change_metric(run: Path, category: str, **values: Any) -> None:
    path = run / "categories" / category / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["metrics"]["image_auroc"].update(values)
    path.write_text(json.dumps(report), encoding="utf-8")


def value_of(run: Path, category: str, metric: str) -> float:
    return float(measured_run(run).categories[category].metrics[metric]["value"])


@pytest.mark.parametrize(
    ("relation", "step", "passed"),
    [
        (">=", 0.0, True),
        (">", 0.0, False),
        ("<=", 0.0, True),
        ("<", 0.0, False),
        (">=", 0.01, False),
        ("<", 0.01, True),
    ],
)
def test_a_requirement_is_compared_as_it_is_written(
    texture_runs: Runs, relation: str, step: float, passed: bool
) -> None:
    run = texture_runs["one"]
    limit = value_of(run, "brick", "image_auroc") + step
    requirement = parse_requirement(f"image_auroc {relation} {limit!r}")
    check = check_requirements(measured_run(run), [requirement])[-1]
    assert check.passed is passed
    assert (check.reason == "") is passed
    assert check.n == {"good": 18, "defective": 18}


def test_every_category_must_pass_unless_told_otherwise(copied_runs: Runs) -> None:
    run = copied_runs["coarse"]
    change_metric(run, "brick", value=0.9)
    change_metric(run, "grass", value=0.7)
    found = checks(run, "image_auroc>=0.8")
    assert {key: check.passed for key, check in found.items() if key[0]} == {
        ("brick", "image_auroc >= 0.8"): True,
        ("grass", "image_auroc >= 0.8"): False,
    }
    assert all(check.passed for check in checks(run, "image_auroc>=0.8", categories=["brick"]).values())
    with pytest.raises(UnknownNameError, match="no category 'bricks'"):
        checks(run, "image_auroc>=0.8", categories=["bricks"])


def test_a_mean_must_be_over_all_categories(copied_runs: Runs) -> None:
    run = copied_runs["coarse"]
    path = run / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    mean = report["means"]["image_auroc"]["value"]
    key = (None, f"mean image_auroc >= {mean:g}")
    below = f"image_auroc>={float(f'{mean:g}') - 1e-5!r}"
    assert list(checks(run, below, mean=True).values())[-1].passed
    report["means"]["image_auroc"]["n_categories"] = 1
    path.write_text(json.dumps(report), encoding="utf-8")
    check = checks(run, f"image_auroc>={mean:g}", mean=True)[key]
    assert not check.passed
    assert check.reason == "defined in 1 of 2 categories only"
    with pytest.raises(ConfigError):
        checks(run, below, mean=True, bound=True)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"value": None, "reason": "no defective test images"}, "not defined: no defective test images"),
        ({"value": float("1e308") * 10}, "is not finite"),
    ],
)
def test_a_metric_without_a_finite_value_never_passes(copied_runs: Runs, values: dict[str, Any], reason: str) -> None:
    run = copied_runs["one"]
    change_metric(run, "brick", **values)
    path = run / "categories/brick/report.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Infinity", "1e999"), encoding="utf-8")  # valid JSON
    for text in ("image_auroc>=0", "image_auroc<=1e9"):
        check = list(checks(run, text).values())[-1]
        assert (check.passed, check.value, check.reason) == (False, None, reason)


def test_a_bound_judges_the_pessimistic_end_of_the_interval(copied_runs: Runs) -> None:
    run = copied_runs["one"]
    change_metric(run, "brick", value=0.9, interval=[0.8, 0.95])

    def passed(text: str) -> bool:
        return list(checks(run, text, bound=True).values())[-1].passed

    assert [passed(f"image_auroc>={limit}") for limit in (0.79, 0.81)] == [True, False]
    assert [passed(f"image_auroc<={limit}") for limit in (0.96, 0.94)] == [True, False]
    check = list(checks(run, "pixel_auroc>=0", bound=True).values())[-1]
    assert not check.passed
    assert "has no interval" in check.reason


def test_each_category_must_have_measured_enough(texture_runs: Runs) -> None:
    run = texture_runs["coarse"]
    for kind, needed, passed in (("good", 18, True), ("good", 19, False), ("defective", 19, False)):
        found = checks(run, minimum={kind: needed})
        for category in ("brick", "grass"):
            check = found[category, f"n of {kind} >= {needed}"]
            assert (check.passed, check.value) == (passed, 18)
    assert checks(run, "pixel_auroc>=0", minimum={"regions": 18})["brick", "n of regions >= 18"].passed
    with pytest.raises(UnknownNameError, match="no required metric counts 'region'") as caught:
        checks(run, "pixel_auroc>=0", minimum={"region": 18})
    assert "'regions'" in str(caught.value.hint)


def test_more_unscored_images_than_allowed_fail(copied_runs: Runs) -> None:
    path = copied_runs["one"] / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["errors"] = {"n": 2, "max_errors": 1, "tolerated": False}
    path.write_text(json.dumps(report), encoding="utf-8")
    assert not checks(copied_runs["one"], "image_auroc>=0")[None, "test images without a score <= 1"].passed


@pytest.mark.parametrize("text", ["image_auroc", "image_auroc=0.9", ">=0.9", "image_auroc>=x", "image_auroc>=nan"])
def test_a_requirement_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        parse_requirement(text)


@pytest.mark.parametrize("text", ["good", "good=", "good=-1", "=5", "good=2.5"])
def test_a_minimum_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        parse_minimum(text)


def pyimgano(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyimgano.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8")
    assert "Traceback" not in done.stderr
    return done


def test_the_command_prints_every_check_and_ends_with_1_when_one_fails(texture_runs: Runs) -> None:
    run = texture_runs["coarse"]
    passed = pyimgano("runs", "gate", run, "--require", "image_auroc>=0.1", "--min-n", "good=18")
    assert passed.returncode == 0, passed.stderr
    assert passed.stdout.count("pass") == 5
    failed = pyimgano("runs", "gate", run, "--require", "image_auroc>=0.999", "--json")
    assert failed.returncode == 1
    data = json.loads(failed.stdout)
    assert data["passed"] is False
    assert [check["passed"] for check in data["checks"]] == [True, False, False]
    mistyped = pyimgano("runs", "gate", run, "--require", "image_aurco>=0.9")
    assert mistyped.returncode == 2
    assert "did you mean 'image_auroc'" in mistyped.stderr
    assert pyimgano("runs", "gate", run).returncode == 2
