"""The audit of a dataset: planted copies and planted defective images are found, and nothing else is called a copy.

Real solar cells at full size and the demo's textures; some 20 s.
"""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pyimgano.cli.main import main
from pyimgano.core.errors import DatasetError, ParameterError
from pyimgano.core.images import read_image, write_png
from pyimgano.datasets import read_dataset
from pyimgano.datasets.writing import read_marked, without_marked, write_manifest
from pyimgano.workbench.audit import Audit, AuditSettings, audit_samples
from pyimgano.workbench.audit import outliers as outliers_module
from pyimgano.workbench.audit.near import join_alike
from pyimgano.workbench.audit.outliers import robust_z
from pyimgano.workbench.audit.signatures import read_signatures, signature
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.progress import Silent
from pyimgano.workbench.schemas import json_schema


@pytest.fixture(scope="session")
def cell_files() -> dict[str, list[Path]]:
    """Mono cells at full size, 300 × 300."""
    spec = importlib.util.find_spec("elpv_dataset")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data"
    rows = [line.split() for line in (data / "labels.csv").read_text().splitlines()]
    kinds = {"good": 0.0, "defective": 1.0}
    return {
        kind: sorted(data / row[0] for row in rows if float(row[1]) == probability and row[2] == "mono")
        for kind, probability in kinds.items()
    }


def audit_of(root: Path, *, model: str = "pixel-gaussian", params: object = None, **settings: object) -> Audit:
    flags = {"dataset.root": root, "model.name": model, "model.params": params or {}}
    return audit_samples(
        read_dataset(root),
        load_run_config(flags=flags),
        Silent(),
        AuditSettings(**settings),  # type: ignore[arg-type]
    )


def copies_of(image: np.ndarray) -> dict[str, bytes]:
    """Return an image as it comes back from other programs: file name → bytes."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (width * 3 // 5, height * 3 // 5), interpolation=cv2.INTER_AREA)
    brighter = np.clip(image * 1.05 + 4.0, 0, 255).astype(np.uint8)
    coded = {
        "resized.png": cv2.imencode(".png", small)[1],
        "coded.jpg": cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1],
        "brighter.png": cv2.imencode(".png", brighter)[1],
    }
    return {name: data.tobytes() for name, data in coded.items()}


@pytest.fixture(scope="session")
def planted_copies(tmp_path_factory: pytest.TempPathFactory, cell_files: dict[str, list[Path]]) -> Path:
    """150 cells; of the first three, copies lie in the test images; one file is there twice with two labels."""
    root = tmp_path_factory.mktemp("audit") / "cells"
    for index, path in enumerate(cell_files["good"][:150]):
        folder = root / ("train/good" if index < 120 else "test/good")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{index:03d}.png")
    (root / "test/crack").mkdir()
    for index, path in enumerate(cell_files["defective"][:5]):
        shutil.copy(path, root / f"test/crack/{index:03d}.png")
    for index in range(3):
        for name, data in copies_of(read_image(root / f"train/good/{index:03d}.png")).items():
            (root / f"test/good/copy-of-{index:03d}-{name}").write_bytes(data)
    shutil.copy(root / "train/good/010.png", root / "test/crack/copy-of-010.png")
    (root / "train/good/broken.png").write_bytes(b"\x89PNG and nothing more")
    write_png(np.full((300, 300), 90, np.uint8), root / "train/good/plain.png")
    write_png(np.zeros((200, 300), np.uint8) + np.arange(300, dtype=np.uint8), root / "train/good/wide.png")
    return root


def test_copies_are_found_across_splits_and_nothing_else_is(planted_copies):
    found = audit_of(planted_copies, outliers=False)
    sets = {tuple(sample.id for sample in one.samples): one for one in found.duplicates}
    expected = {
        (
            *(f"test/good/copy-of-{i:03d}-{n}" for n in ("brighter.png", "coded.jpg", "resized.png")),
            f"train/good/{i:03d}.png",
        )
        for i in range(3)
    } | {("test/crack/copy-of-010.png", "train/good/010.png")}
    assert set(sets) == expected
    assert all(one.leak for one in found.duplicates)
    assert found.leaks == 4
    first = found.duplicates[0]  # the most dangerous one is called good and defective
    assert (first.conflict, first.kind) == (True, "exact")
    for one in found.duplicates[1:]:
        assert one.kind == "near"
        assert min(likeness for likeness in one.likeness if likeness is not None) > 0.99


def test_images_of_another_kind_are_named_with_the_reason(planted_copies):
    found = audit_of(planted_copies, outliers=False)
    told = {(odd.kind, odd.sample.id): odd.message for odd in found.oddities}
    assert told["constant", "train/good/plain.png"] == "every pixel has the value 90"
    assert told["size", "train/good/wide.png"].startswith("300 × 200 pixels; ")
    assert "not a readable image" in told["unreadable", "train/good/broken.png"]
    assert ("size", "train/good/000.png") not in told
    assert found.problems == found.leaks + 1


def test_search_finds_the_same_sets_as_all_pairs(planted_copies):
    samples = read_dataset(planted_copies).samples
    _, signatures = read_signatures(samples)
    rows = signatures[signatures.any(axis=1)]
    mean = rows.mean(axis=0, dtype=np.float64)
    residuals = rows.astype(np.float64) - mean
    residuals /= np.linalg.norm(residuals, axis=1)[:, None]
    cosines = residuals @ residuals.T
    # Not where rounding to half precision decides: far from any pair's likeness.
    edges = np.sort(cosines[np.triu_indices(len(rows), 1)])
    near = edges[(edges > 0.93) & (edges < 0.97)]
    gap = int(np.diff(near).argmax())
    threshold = float(near[gap : gap + 2].mean())
    parent = list(range(len(rows)))
    for i, j in itertools.combinations(range(len(rows)), 2):
        if cosines[i, j] >= threshold:
            a, b = parent[i], parent[j]
            parent = [min(a, b) if p in (a, b) else p for p in parent]
    assert len(set(parent)) < len(rows) - 3  # there are sets to find
    assert join_alike(rows, mean, threshold).roots() == parent


def test_two_copies_that_are_a_whole_category_are_a_set(tmp_path, cell_files):
    (tmp_path / "train/good").mkdir(parents=True)
    image = read_image(cell_files["good"][0])
    write_png(image, tmp_path / "train/good/a.png")
    (tmp_path / "train/good/b.jpg").write_bytes(copies_of(image)["coded.jpg"])
    (one,) = audit_of(tmp_path, outliers=False).duplicates
    assert (one.kind, one.leak, one.likeness) == ("near", False, (1.0, 1.0))


def test_signature_of_an_image_without_contrast_is_zero():
    assert not signature(np.full((40, 30, 3), 7, np.uint8)).any()


def test_defective_cells_among_the_good_ones_rank_high(tmp_path, cell_files):
    root = tmp_path / "cells"
    (root / "train/good").mkdir(parents=True)
    for index, path in enumerate(cell_files["good"][:100]):
        shutil.copy(path, root / f"train/good/{index:03d}.png")
    for index, path in enumerate(cell_files["defective"][:10]):
        shutil.copy(path, root / f"train/good/planted-{index:03d}.png")
    (ranking,) = audit_of(root).rankings
    assert len(ranking.ranked) == 110
    ranks = sorted(one.rank for one in ranking.ranked if "planted" in one.sample.id)
    # By lot, five of ten would be among the first 55; here six are among the first 15, and eight among the first 40.
    assert ranks[5] <= 15
    assert ranks[7] <= 40
    assert sum(one.z > 3.0 for one in ranking.ranked if "planted" in one.sample.id) >= 5


def test_defects_painted_on_training_textures_are_the_first_three(tmp_path):
    write_textures(tmp_path / "textures", seed=0)
    root = tmp_path / "textures" / "brick"
    for kind in ("foreign", "scratch", "stain"):
        (root / "test" / kind / "000.png").rename(root / "train/good" / f"planted-{kind}.png")
        (root / "ground_truth" / kind / "000_mask.png").unlink()
    params = {"backbone": "efficientnet-lite0", "input_size": 128, "coreset_sampling_ratio": 0.05}
    (ranking,) = audit_of(root, model="patchcore", params=params, folds=3).rankings
    first = [one.sample.id for one in ranking.ranked[:3]]
    assert all("planted" in name for name in first)
    assert ranking.ranked[2].z > ranking.ranked[3].z + 2.0


def test_each_image_is_scored_by_a_model_that_saw_neither_it_nor_its_copy(planted_copies, monkeypatch):
    fitted: list[set[str]] = []
    real = outliers_module.fit_detector

    def fit(config, samples, progress, title):
        fitted.append({sample.id for sample in samples})
        return real(config, samples, progress, title)

    monkeypatch.setattr(outliers_module, "fit_detector", fit)
    shutil.copytree(planted_copies, planted_copies.with_name("twins"), dirs_exist_ok=True)
    root = planted_copies.with_name("twins")
    (root / "train/good/twin.jpg").write_bytes(copies_of(read_image(root / "train/good/005.png"))["coded.jpg"])
    (ranking,) = audit_of(root, folds=4).rankings
    scored = {one.sample.id for one in ranking.ranked}
    assert len(fitted) == 4
    for seen in fitted:
        held_out = scored - seen
        assert 25 <= len(held_out) <= 35
        assert ("train/good/twin.jpg" in held_out) == ("train/good/005.png" in held_out)
    assert set.union(*(scored - seen for seen in fitted)) == scored


def test_models_are_fitted_on_at_most_so_many_images(make_cells, tmp_path):
    (ranking,) = audit_of(make_cells(tmp_path / "cells"), most=7, params={"input_size": 16}).rankings
    assert ranking.fitted_on == 7
    assert len(ranking.ranked) == 30


def test_too_few_images_are_not_ranked_and_a_note_says_so(make_cells, tmp_path):
    found = audit_of(make_cells(tmp_path / "cells", train=3))
    assert found.rankings == ()
    assert any("too few to rank" in note for note in found.notes)


def test_robust_z_is_measured_in_median_absolute_deviations():
    scores = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    assert robust_z(scores) == pytest.approx((scores - 3.0) / 1.4826)
    assert robust_z(np.full(5, 2.0)).tolist() == [0.0] * 5
    assert robust_z(np.array([1.0, 1.0, 1.0, 1.0, 2.0]))[4] == pytest.approx(2.5)  # 1 / 0.4


@pytest.mark.parametrize(
    ("name", "value"), [("likeness", 1.0), ("likeness", 0.2), ("folds", 1), ("most", 0), ("top", 0)]
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ParameterError, match=name):
        AuditSettings(**{name: value})


# -- the commands ----------------------------------------------------------------------------------------------------


def test_command_writes_what_it_found_and_a_list_to_mark(planted_copies, tmp_path, capsys):
    folder = tmp_path / "audit"
    arguments = ["--model", "pixel-gaussian", "--set", "input_size=32", "--top", "5", "--json", "-o", str(folder)]
    assert main(["datasets", "audit", str(planted_copies), *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    Draft202012Validator(json_schema("audit")).validate(printed)
    assert printed["model"] == {"name": "pixel-gaussian", "params": {"input_size": 32}, "seed": 0}
    assert printed["counts"]["leaks"] == 4
    assert [one["rank"] for one in printed["outliers"][0]["ranked"]] == [1, 2, 3, 4, 5]
    assert str(tmp_path) not in (folder / "audit.json").read_text(encoding="utf-8")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image") == 1  # pictures become elements in the browser alone
    rows = list(csv.DictReader((folder / "review.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["exclude"] for row in rows} == {""}

    marked = next(row for row in rows if row["rank"] == "1")["image"]
    for row in rows:
        row["exclude"] = "x" if row["image"] in (marked, "train/good/broken.png") else ""
    review = folder / "review.csv"
    with review.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    kept = tmp_path / "kept.jsonl"
    assert main(["datasets", "manifest", str(planted_copies), "--exclude", str(review), "-o", str(kept)]) == 0
    assert capsys.readouterr().out.strip() == str(kept)
    again = ["datasets", "manifest", str(planted_copies), "--exclude", str(review), "-o", str(kept), "--force"]
    assert main([*again, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts == {"manifest": str(kept), "listed": len(read_dataset(kept)), "left_out": 2}
    before, after = read_dataset(planted_copies), read_dataset(kept)
    assert len(after) == len(before) - 2
    names = {Path(sample.id).name for sample in after.samples}
    assert "broken.png" not in names
    assert Path(marked).name not in names or marked.startswith("test")


def test_command_text_names_the_findings_and_exits_with_four_when_asked(planted_copies, capsys):
    arguments = ["datasets", "audit", str(planted_copies), "--no-outliers"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "in two splits, good and defective, exact: test/crack/copy-of-010.png (test)" in said
    assert "unreadable: train/good/broken.png" in said
    assert main([*arguments, "--fail-on-problems"]) == 4


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--model", "pixel-gausian"], "did you mean 'pixel-gaussian'"),
        (["--model", "pixel-gaussian", "--set", "input_sise=3"], "input_sise"),
        (["--likeness", "2"], "likeness = 2.0"),
    ],
)
def test_command_refuses_what_is_wrong(planted_copies, capsys, extra, expected):
    assert main(["datasets", "audit", str(planted_copies), *extra]) == 2
    assert expected in capsys.readouterr().err


def test_command_keeps_a_folder_that_holds_something(planted_copies, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep")
    assert main(["datasets", "audit", str(planted_copies), "--no-outliers", "-o", str(tmp_path)]) == 2
    assert "the folder is not empty" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_manifest_is_read_back_as_the_same_dataset(tmp_path):
    write_textures(tmp_path / "textures", seed=0)
    before = read_dataset(tmp_path / "textures")
    (tmp_path / "lists").mkdir()
    write_manifest(before, tmp_path / "lists" / "all.jsonl")
    after = read_dataset(tmp_path / "lists" / "all.jsonl")

    def facts(samples):
        return {
            Path(s.source).resolve(): (s.label, s.split, s.category, s.defect, [m.resolve() for m in s.masks])
            for s in samples.samples
        }

    assert facts(after) == facts(before)


def test_marked_images_must_be_in_the_dataset(make_cells, tmp_path):
    samples = read_dataset(make_cells(tmp_path / "cells"))
    (tmp_path / "list.txt").write_text("# by hand\ntrain/good/000.png\n\ntrain/good/0000.png\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="1 marked images are not in the dataset") as caught:
        without_marked(samples, read_marked(tmp_path / "list.txt"))
    assert caught.value.hint is not None
    assert "did you mean 'train/good/000.png'" in caught.value.hint
    with pytest.raises(DatasetError, match="none would be left"):
        without_marked(samples, [sample.id for sample in samples.samples])


def test_marks_of_a_spreadsheet_are_read_whatever_its_delimiter(tmp_path):
    (tmp_path / "a.csv").write_text(
        "exclude;image;reason\nx;a.png;1,5\n;b.png;\n ;c.png;\nja;d.png;\n", encoding="utf-8"
    )
    assert read_marked(tmp_path / "a.csv") == ("a.png", "d.png")
    (tmp_path / "b.csv").write_text("image,mark\na.png,x\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="no column 'exclude'"):
        read_marked(tmp_path / "b.csv")
