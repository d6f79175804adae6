"""`pyimgano runs compare`: two runs by their files alone, what is refused, and limits for a pipeline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import pytest
from jsonschema import Draft202012Validator

from pyimgano.core.errors import ConfigError, RunError, UnknownNameError
from pyimgano.workbench.compare import Comparison, check_regressions, compare_runs, measured_run, parse_limit
from pyimgano.workbench.schemas import json_schema

Runs = Mapping[str, Path]


def pyimgano(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyimgano.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8")
    assert "Traceback" not in done.stderr
    return done


def compared(a: Path, b: Path, **options: Any) -> Comparison:
    return compare_runs(measured_run(a), measured_run(b), resamples=300, **options)


def lines_of(run: Path, category: str = "brick") -> list[dict[str, Any]]:
    text = (run / "categories" / category / "per_image.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def write_lines(run: Path, lines: list[dict[str, Any]], category: str = "brick") -> None:
    path = run / "categories" / category / "per_image.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def edit(path: Path, change: Callable[[Any], None]) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def edit_category(run: Path, change: Callable[[Any], None], category: str = "brick") -> None:
    edit(run / "categories" / category / "report.json", change)


# -- numbers ---------------------------------------------------------------------------------------------------------


def test_values_of_the_same_images_are_those_of_the_reports(copied_runs: Runs) -> None:
    found = compared(copied_runs["coarse"], copied_runs["fine"])
    assert found.matching.same
    for part in found.categories:
        reports = [measured_run(copied_runs[name]).categories[part.name].metrics for name in ("coarse", "fine")]
        assert list(part.metrics) == list(reports[0])
        for name, difference in part.metrics.items():
            values = [report[name]["value"] for report in reports]
            assert [difference.a, difference.b] == [pytest.approx(value, abs=1e-12) for value in values], name
            if None not in values:
                assert difference.difference == pytest.approx(values[1] - values[0], abs=1e-12)


def test_the_mean_over_categories_is_that_of_the_report_and_its_interval_narrower(copied_runs: Runs) -> None:
    found = compared(copied_runs["coarse"], copied_runs["fine"])
    means = [measured_run(copied_runs[name]).report["means"] for name in ("coarse", "fine")]
    for name in ("image_auroc", "overkill", "pixel_auroc"):
        difference = found.metrics[name]
        assert [difference.a, difference.b] == [pytest.approx(mean[name]["value"]) for mean in means]

    def width(difference: Any) -> float:
        return float(difference.interval[1] - difference.interval[0])

    for name in ("image_auroc", "escape"):
        single = [width(part.metrics[name]) for part in found.categories]
        assert width(found.metrics[name]) < max(single)
        assert found.metrics[name].n["categories"] == 2


def test_swapping_the_runs_swaps_the_signs_and_the_verdicts(copied_runs: Runs) -> None:
    there = compared(copied_runs["coarse"], copied_runs["fine"])
    back = compared(copied_runs["fine"], copied_runs["coarse"])
    opposite = {"better": "worse", "worse": "better"}
    for name, difference in there.metrics.items():
        other = back.metrics[name]
        if difference.difference is not None:
            assert other.difference == pytest.approx(-difference.difference)
        assert other.verdict == opposite.get(difference.verdict, difference.verdict), name
        if difference.interval is not None:
            assert other.interval == pytest.approx((-difference.interval[1], -difference.interval[0]))
    assert {difference.verdict for difference in there.metrics.values()} >= {"worse", "not shown"}


def test_a_run_against_itself_differs_nowhere(copied_runs: Runs) -> None:
    found = compared(copied_runs["coarse"], copied_runs["coarse"])
    assert {difference.difference for difference in found.metrics.values()} <= {0.0, None}
    assert {difference.verdict for difference in found.metrics.values()} <= {"not shown", "not tested"}
    data = found.to_json()
    assert (data["flips"], data["config"], data["environment"], data["errors"]) == ([], {}, {}, [])


def test_pixel_metrics_have_a_difference_but_no_interval_and_say_why(copied_runs: Runs) -> None:
    found = compared(copied_runs["coarse"], copied_runs["fine"])
    pixel = found.categories[0].metrics["pixel_aupro"]
    assert pixel.difference is not None
    assert (pixel.interval, pixel.p, pixel.verdict) == (None, None, "not tested")
    assert "no per-pixel data" in str(pixel.reason)
    assert found.metrics["pixel_aupro"].verdict == "not tested"


def test_aupro_of_different_limits_is_never_compared(copied_runs: Runs) -> None:
    def change(report: Any) -> None:
        report["metrics"]["pixel_aupro"]["limit"] = 0.05

    edit_category(copied_runs["fine"], change)
    found = compared(copied_runs["coarse"], copied_runs["fine"]).categories[0].metrics["pixel_aupro"]
    assert (found.difference, found.verdict) == (None, "not compared")
    assert found.reason == "the limits differ: 0.3 and 0.05"


def test_delongs_test_stands_beside_the_bootstrap_of_the_auroc(copied_runs: Runs) -> None:
    auroc = compared(copied_runs["coarse"], copied_runs["fine"]).categories[1].metrics["image_auroc"]
    low, high = auroc.facts["delong"]["interval"]
    assert auroc.interval is not None
    assert (low, high) == pytest.approx(auroc.interval, abs=0.06)
    assert auroc.facts["delong"]["p"] == pytest.approx(auroc.p, abs=0.1)


def test_each_kind_of_defect_has_its_recall_and_auroc_against_all_good_images(copied_runs: Runs) -> None:
    found = compared(copied_runs["coarse"], copied_runs["fine"]).categories[0].by_defect
    assert sorted(found) == ["foreign", "scratch", "stain"]
    for side, name in (("a", "coarse"), ("b", "fine")):
        report = measured_run(copied_runs[name]).categories["brick"].report["by_defect"]
        for defect, one in found.items():
            assert one["n"] == report[defect]["n"] == 6
            for metric in ("image_auroc", "recall", "escape"):
                assert getattr(one[metric], side) == pytest.approx(report[defect][metric]["value"], abs=1e-12)


# -- images ----------------------------------------------------------------------------------------------------------


def test_flips_are_the_images_whose_decision_changed_with_the_worst_first(copied_runs: Runs) -> None:
    lines = lines_of(copied_runs["coarse"])
    good = [line for line in lines if line["label"] == 0 and line["decision"] == "good"]
    found = [line for line in lines if line["label"] == 1 and line["decision"] == "defective"]
    missed = [line for line in lines if line["label"] == 1 and line["decision"] == "good"]
    before = missed[0]["score"]
    changed = {good[0]["image"]: 99.0, found[0]["image"]: -99.0, missed[0]["image"]: 99.0}
    b = copied_runs["coarse"].with_name("flipped")
    shutil.copytree(copied_runs["coarse"], b)
    for line in lines:
        if line["image"] in changed:
            line["score"] = changed[line["image"]]
            line["decision"] = "defective" if line["score"] >= line["threshold"] else "good"
    write_lines(b, lines)
    comparison = compared(copied_runs["coarse"], b)
    assert [(flip.image, flip.change) for flip in comparison.flips] == [
        *((image, "worse") for image in sorted([good[0]["image"], found[0]["image"]])),
        (missed[0]["image"], "better"),
    ]
    flip = comparison.flips[-1]
    threshold = lines[0]["threshold"]
    assert flip.a == {"score": before, "threshold": threshold, "decision": "good"}
    assert flip.b == {"score": 99.0, "threshold": threshold, "decision": "defective"}
    brick = comparison.categories[0].metrics
    assert brick["overkill"].facts == {"only_a": 0, "only_b": 1}
    assert brick["escape"].facts == {"only_a": 1, "only_b": 1}
    assert comparison.to_json()["flip_counts"] == {"worse": 2, "better": 1, "changed": 0}


def test_a_decision_that_moves_to_review_is_better_for_a_missed_defect_and_worse_for_a_good_image(
    copied_runs: Runs,
) -> None:
    b = copied_runs["fine"].with_name("reviewed")
    shutil.copytree(copied_runs["coarse"], b)
    lines = lines_of(b)
    good = next(line for line in lines if line["label"] == 0 and line["decision"] == "good")
    missed = next(line for line in lines if line["label"] == 1 and line["decision"] == "good")
    good["decision"] = missed["decision"] = "review"
    write_lines(b, lines)
    comparison = compared(copied_runs["coarse"], b)
    changes = {flip.image: flip.change for flip in comparison.flips}
    assert changes == {good["image"]: "worse", missed["image"]: "better"}
    assert comparison.categories[0].metrics["overkill"].difference == 0.0
    assert comparison.categories[0].metrics["escape"].facts == {"only_a": 1, "only_b": 0}


def test_an_image_without_a_score_in_one_run_is_listed_and_left_out_of_both(copied_runs: Runs) -> None:
    lines = lines_of(copied_runs["fine"])
    broken = lines[3]
    lines[3] = {key: broken[key] for key in ("image", "category", "label")} | {"error": "ImageError: truncated"}
    write_lines(copied_runs["fine"], lines)
    comparison = compared(copied_runs["coarse"], copied_runs["fine"])
    assert comparison.to_json()["errors"] == [
        {"category": "brick", "image": broken["image"], "a": None, "b": "ImageError: truncated"}
    ]
    kind = "good" if broken["label"] == 0 else "defective"
    assert comparison.categories[0].metrics["image_auroc"].n[kind] == 17
    assert any("1 images are left out" in note and "(A 0, B 1)" in note for note in comparison.notes)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_other_categories_are_refused_unless_told(copied_runs: Runs) -> None:
    with pytest.raises(ConfigError, match="only A has the category grass") as caught:
        compared(copied_runs["coarse"], copied_runs["one"])
    assert "--allow-different-splits" in str(caught.value.hint)
    found = compared(copied_runs["coarse"], copied_runs["one"], allow_different=True)
    assert [part.name for part in found.categories] == ["brick"]
    assert found.to_json()["only_a"]["categories"] == ["grass"]
    assert any("compared are the 36 that both scored" in note for note in found.notes)


def test_other_test_images_are_refused_and_what_differs_is_said(copied_runs: Runs) -> None:
    lines = lines_of(copied_runs["fine"])
    lost = [lines.pop(0)["image"], lines.pop(0)["image"]]
    write_lines(copied_runs["fine"], lines)

    def change(report: Any) -> None:
        report["data"]["n_test"] -= 2
        report["data"]["fingerprints"]["test"] = "0" * 64

    edit_category(copied_runs["fine"], change)
    with pytest.raises(ConfigError, match=r"brick: 2 only in A, 34 in both"):
        compared(copied_runs["coarse"], copied_runs["fine"])
    part = compared(copied_runs["coarse"], copied_runs["fine"], allow_different=True).categories[0]
    assert part.to_json()["only_a"] == lost
    assert sum(part.metrics["image_auroc"].n.values()) == 34
    assert "the test images differ" in str(part.metrics["pixel_auroc"].reason)


def test_the_same_names_with_other_contents_are_refused(copied_runs: Runs) -> None:
    def change(report: Any) -> None:
        report["data"]["fingerprints"]["test"] = "0" * 64

    edit_category(copied_runs["fine"], change)
    with pytest.raises(ConfigError, match="the same 36 names, but other contents"):
        compared(copied_runs["coarse"], copied_runs["fine"])
    notes = compared(copied_runs["coarse"], copied_runs["fine"], allow_different=True).notes
    assert any("what is compared is not sure" in note for note in notes)


def test_labels_that_were_changed_are_refused(copied_runs: Runs) -> None:
    lines = lines_of(copied_runs["fine"])
    lines[0]["label"] = 1 - lines[0]["label"]
    write_lines(copied_runs["fine"], lines)
    with pytest.raises(ConfigError, match=f"the image {lines[0]['image']} with another label"):
        compared(copied_runs["coarse"], copied_runs["fine"])
    found = compared(copied_runs["coarse"], copied_runs["fine"], allow_different=True).categories[0]
    assert found.to_json()["relabelled"] == [lines[0]["image"]]
    assert len(found.matched.pairs) == 35


def test_damage_is_told_with_the_file(copied_runs: Runs, tmp_path: Path) -> None:
    cases: dict[str, Callable[[Path], object]] = {
        "per_image.jsonl: cannot read": lambda run: (run / "categories/brick/per_image.jsonl").unlink(),
        "has 35 records, and the report beside it counts 36": lambda run: write_lines(run, lines_of(run)[1:]),
        "names an image twice": lambda run: write_lines(run, [*lines_of(run), lines_of(run)[0]]),
        "environment.json: cannot read JSON": lambda run: (run / "environment.json").unlink(),
        "lacks 'fingerprints'": lambda run: edit_category(run, lambda report: report["data"].pop("fingerprints")),
        "not valid JSON": lambda run: (run / "categories/grass/report.json").write_text("{"),
        "is no number: '0.5'": lambda run: edit_category(
            run, lambda report: report["metrics"]["image_auroc"].update(value="0.5")
        ),
    }
    for number, (message, damage) in enumerate(cases.items()):
        run = tmp_path / str(number)
        shutil.copytree(copied_runs["fine"], run)
        damage(run)
        with pytest.raises(RunError) as caught:
            compared(copied_runs["coarse"], run)
        assert message in str(caught.value)
        assert str(run) in str(caught.value)


# -- limits ----------------------------------------------------------------------------------------------------------


def checks_of(comparison: Comparison, *limits: str, significant: bool = False) -> dict[Any, Any]:
    found = check_regressions(comparison, [parse_limit(text) for text in limits], significant=significant)
    return {(check.metric, check.category): check for check in found}


def test_a_limit_holds_in_every_category_and_on_average_in_the_metrics_direction(copied_runs: Runs) -> None:
    comparison = compared(copied_runs["coarse"], copied_runs["fine"])
    found = checks_of(comparison, "image_auroc:0.1", "escape:0.2")
    for (metric, category), check in found.items():
        metrics = comparison.metrics if category is None else measured(comparison, category)
        worse = (-1 if metric == "image_auroc" else 1) * metrics[metric].difference
        assert check.passed == (worse <= check.margin)
    assert len(found) == 6
    assert {check.passed for check in found.values()} == {True, False}
    assert all(check.passed for check in checks_of(compared(*[copied_runs["fine"]] * 2), "image_auroc").values())


def measured(comparison: Comparison, category: str) -> Mapping[str, Any]:
    return next(part.metrics for part in comparison.categories if part.name == category)


def test_a_margin_that_is_met_exactly_is_no_regression_for_all_rounding(copied_runs: Runs) -> None:
    for run, value in (("coarse", 0.95), ("fine", 0.94)):
        edit_category(
            copied_runs[run], lambda report, value=value: report["metrics"]["pixel_auroc"].update(value=value)
        )
    comparison = compared(copied_runs["coarse"], copied_runs["fine"])
    assert 0.95 - 0.94 > 0.01
    assert checks_of(comparison, "pixel_auroc:0.01")["pixel_auroc", "brick"].passed
    assert not checks_of(comparison, "pixel_auroc:0.009")["pixel_auroc", "brick"].passed


def test_a_metric_that_b_has_no_more_is_a_regression_and_one_that_only_b_has_is_none(copied_runs: Runs) -> None:
    def lose(report: Any) -> None:
        report["metrics"]["pixel_auroc"] = {"value": None, "n": {"images": 0}, "reason": "the masks are gone"}

    edit_category(copied_runs["fine"], lose)
    there = checks_of(compared(copied_runs["coarse"], copied_runs["fine"]), "pixel_auroc")["pixel_auroc", "brick"]
    assert not there.passed
    assert "the masks are gone" in there.reason
    back = checks_of(compared(copied_runs["fine"], copied_runs["coarse"]), "pixel_auroc")["pixel_auroc", "brick"]
    assert back.passed


def test_significant_lets_noise_pass_and_refuses_what_has_no_interval(copied_runs: Runs) -> None:
    comparison = compared(copied_runs["coarse"], copied_runs["fine"])
    plain = checks_of(comparison, "image_auroc", "escape")
    certain = checks_of(comparison, "image_auroc", "escape", significant=True)
    for key, check in certain.items():
        metrics = comparison.metrics if key[1] is None else measured(comparison, key[1])
        assert check.passed == (metrics[key[0]].verdict != "worse" and check.passed)
        assert check.passed or not plain[key].passed
    assert sum(check.passed for check in certain.values()) > sum(check.passed for check in plain.values())
    with pytest.raises(ConfigError, match="pixel_auroc has no interval"):
        checks_of(comparison, "pixel_auroc", significant=True)


def test_mistyped_limits_are_refused(copied_runs: Runs) -> None:
    comparison = compared(copied_runs["coarse"], copied_runs["fine"])
    with pytest.raises(UnknownNameError, match="no metric 'image_aurco'") as caught:
        checks_of(comparison, "image_aurco")
    assert "did you mean 'image_auroc'" in str(caught.value.hint)
    for text in ("image_auroc:", "image_auroc:-1", "image_auroc:nan", ":0.1", "image_auroc:much"):
        with pytest.raises(ConfigError, match="cannot read"):
            parse_limit(text)


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_tells_people_and_programs_the_same(copied_runs: Runs) -> None:
    runs = (copied_runs["coarse"], copied_runs["fine"])
    told = pyimgano("runs", "compare", *runs, "--flips", 2)
    assert told.returncode == 0, told.stderr
    given = pyimgano("runs", "compare", *runs, "--json")
    data = json.loads(given.stdout)
    assert data["schema_version"] == 1
    assert data["verdicts"]["image_auroc"] in told.stdout
    assert data["config"] == {"model.params.input_size": [16, 48]}
    for text in (
        "A: coarse  (pixel-gaussian",
        "compared on the same 72 test images in 2 categories: 36 good, 36 defective",
        "config: model.params.input_size 16 -> 48",
        f"decisions that changed: {len(data['flips'])} (",
        data["flips"][0]["image"],
    ):
        assert text in told.stdout, text
    assert data["flips"][2]["image"] not in told.stdout
    for text in (told.stdout, given.stdout):
        assert str(runs[0].parent) not in text
    again = pyimgano("runs", "compare", *runs, "--json")
    assert again.stdout == given.stdout


def test_what_the_command_prints_is_what_its_schema_says(copied_runs: Runs) -> None:
    a, b, one = copied_runs["coarse"], copied_runs["fine"], copied_runs["one"]
    lines = lines_of(b)
    lines[3] = {key: lines[3][key] for key in ("image", "category", "label")} | {"error": "ImageError: truncated"}
    write_lines(b, lines)
    edit_category(b, lambda report: report["metrics"]["pixel_auroc"].update(value=None, reason="none"))
    validator = Draft202012Validator(json_schema("comparison"))
    Draft202012Validator.check_schema(validator.schema)
    for runs, options in (((a, b), ("--fail-on-regression", "image_auroc")), ((b, one), ("--allow-different-splits",))):
        data = json.loads(pyimgano("runs", "compare", *runs, "--json", *options).stdout)
        validator.validate(data)
        del data["metrics"]["image_auroc"]["verdict"]
        assert not validator.is_valid(data)


def test_a_regression_ends_the_command_with_1_and_other_splits_with_2(copied_runs: Runs) -> None:
    a, b, one = copied_runs["coarse"], copied_runs["fine"], copied_runs["one"]
    failed = pyimgano("runs", "compare", a, b, "--fail-on-regression", "image_auroc:0.01")
    assert failed.returncode == 1
    assert "FAIL: image_auroc (mean): worse by " in failed.stdout
    passed = pyimgano("runs", "compare", a, b, "--fail-on-regression", "image_auroc:0.9", "--json")
    assert passed.returncode == 0
    assert [check["passed"] for check in json.loads(passed.stdout)["regressions"]] == [True, True, True]
    refused = pyimgano("runs", "compare", a, one)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert pyimgano("runs", "compare", a, one, "--allow-different-splits").returncode == 0
    assert pyimgano("runs", "compare", a, b.with_name("none")).returncode == 5
    assert pyimgano("runs", "compare", a, b, "--significant").returncode == 2
