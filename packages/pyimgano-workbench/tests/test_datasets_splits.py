"""Hold-outs, limits and fingerprints: reproducible, fair, and never with one image on two sides."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import elpv_dataset
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.datasets import (
    ContentHashes,
    assign_splits,
    check_disjoint,
    fingerprint,
    limit_samples,
    load_mask,
    read_dataset,
    split_good,
)


def sample(name, split="train", label=0, category=None, group=None, defect=None):
    return Sample(name, Path(name), split, label, category, defect, group=group)


def ids(samples):
    return [item.id for item in samples]


GOOD = tuple(sample(f"train/good/{index:03}.png") for index in range(50))


def test_the_hold_out_is_the_asked_share_and_disjoint():
    split = split_good(GOOD, 0.2, seed=0)
    assert len(split.calibration) == 10
    assert sorted(ids(split.fit) + ids(split.calibration)) == ids(GOOD)
    assert split.source == "hold-out"
    assert "10 of 50 good training images are held out, seed 0." in split.notes
    assert len(split_good(GOOD, 7, seed=0).calibration) == 7


def test_the_same_seed_gives_the_same_split_whatever_the_order():
    shuffled = list(GOOD)
    random.Random(1).shuffle(shuffled)
    assert split_good(shuffled, 0.2, seed=5) == split_good(GOOD, 0.2, seed=5)
    assert split_good(GOOD, 0.2, seed=6) != split_good(GOOD, 0.2, seed=5)


def test_a_new_image_moves_few_others():
    before = set(ids(split_good(GOOD, 0.2, seed=0).calibration))
    after = set(ids(split_good((*GOOD, sample("train/good/new.png")), 0.2, seed=0).calibration))
    assert len(before - after) <= 1


def test_the_hold_out_is_spread_over_the_files_and_the_seeds():
    counts = np.zeros(50)
    for seed in range(400):
        chosen = set(ids(split_good(GOOD, 0.2, seed=seed).calibration))
        counts += [item.id in chosen for item in GOOD]
    # Each image is held out about 80 times of 400; six standard deviations of that count are 48.
    assert counts.min() > 32
    assert counts.max() < 128


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    holdout=st.one_of(st.floats(0.05, 0.6), st.integers(1, 6)),
    seed=st.integers(0, 2**31),
)
def test_a_group_is_never_on_both_sides(sizes, holdout, seed):
    samples = [sample(f"{g}/{i}.png", group=f"lot{g}") for g, size in enumerate(sizes) for i in range(size)]
    wanted = holdout if isinstance(holdout, int) else max(1, round(len(samples) * holdout))
    assume(wanted <= len(samples) - max(sizes))  # whatever the order, some group is left to fit on
    split = split_good(samples, holdout, seed=seed)
    assert split.fit
    assert {item.group for item in split.fit}.isdisjoint({item.group for item in split.calibration})
    assert len(split.fit) + len(split.calibration) == len(samples)
    assert len(split.calibration) >= wanted


def test_the_datasets_own_validation_images_are_used_where_there_are_any():
    own = tuple(sample(f"validation/good/{index}.png", "validation") for index in range(4))
    split = split_good(GOOD + own, 0.2, seed=0)
    assert split.source == "validation"
    assert split.calibration == own
    assert split.fit == GOOD
    assert "own 4 good validation images" in " ".join(split.notes)


def test_each_category_is_held_out_for_itself():
    samples = [sample(f"{c}/{i}", category=c) for c, n in (("a", 10), ("b", 30)) for i in range(n)]
    split = split_good(samples, 0.2, seed=0)
    assert [sum(item.category == c for item in split.calibration) for c in "ab"] == [2, 6]


def test_defective_and_unlabelled_training_images_are_dropped_and_counted():
    extra = (sample("train/bad/1", label=1), sample("train/bad/2", label=1), sample("train/x", label=None))
    split = split_good(GOOD + extra, 0.2, seed=0)
    assert split.dropped == 3
    assert set(ids(split.fit) + ids(split.calibration)) == set(ids(GOOD))
    assert "2 defective training images are left out" in " ".join(split.notes)
    assert "1 unlabelled training images are left out" in " ".join(split.notes)


def test_test_images_are_never_touched():
    test = tuple(sample(f"test/good/{index}", "test") for index in range(9))
    split = split_good(GOOD + test, 0.5, seed=0)
    assert not set(ids(test)) & set(ids(split.fit) + ids(split.calibration))


@pytest.mark.parametrize("holdout", [0, -1, 0.0, 1.0, 1.5, float("nan"), float("inf"), True, "0.2", None])
def test_a_holdout_that_is_neither_a_share_nor_a_number_is_refused(holdout):
    with pytest.raises(DatasetError, match="holdout = ") as caught:
        split_good(GOOD, holdout, seed=0)
    assert "fraction" in caught.value.allowed


@pytest.mark.parametrize(
    ("samples", "holdout", "message"),
    [
        ((), 0.2, "no good training images"),
        ((sample("a", label=1),), 0.2, "no good training images"),
        (GOOD[:1], 0.2, "cannot hold out 1 of 1"),
        (GOOD[:5], 5, "cannot hold out 5 of 5"),
        ([sample(str(index), group="lot1") for index in range(9)], 2, r"\(1 groups\)"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_numbers(samples, holdout, message):
    with pytest.raises(DatasetError, match=message):
        split_good(samples, holdout, seed=0)


# -- splits for data that has none --------------------------------------------------------------------------------


def test_a_group_with_a_defective_image_is_in_the_test_set_as_a_whole():
    items = [sample(f"{g}/{i}", None, 0, group=f"lot{g}") for g in range(10) for i in range(3)]
    items.append(sample("3/defect", None, 1, group="lot3"))
    for seed in range(5):
        samples = assign_splits(Samples(Path("."), tuple(items)), seed=seed)
        sides = {}
        for item in samples.samples:
            sides.setdefault(item.group, set()).add(item.split)
        assert all(len(side) == 1 for side in sides.values())
        assert sides["lot3"] == {"test"}


def test_a_dataset_with_splits_is_returned_as_it_is():
    samples = Samples(Path("."), GOOD)
    assert assign_splits(samples, seed=0) is samples


def test_unlabelled_images_get_no_split():
    items = (*(sample(str(i), None) for i in range(9)), sample("x", None, 1), sample("u", None, None))
    assert {item.id: item.split for item in assign_splits(Samples(Path("."), items), seed=0).samples}["u"] is None


def test_too_few_good_images_for_a_test_set_are_refused():
    items = (sample("a", None), sample("b", None, 1))
    with pytest.raises(DatasetError, match="would be left to train on"):
        assign_splits(Samples(Path("."), items), seed=0)


# -- limits -------------------------------------------------------------------------------------------------------

MIXED = [
    *(sample(f"test/good/{index:03}", "test", 0) for index in range(80)),
    *(sample(f"test/crack/{index:03}", "test", 1, defect="crack") for index in range(15)),
    *(sample(f"test/hole/{index:03}", "test", 1, defect="hole") for index in range(5)),
]


def test_a_limit_keeps_the_shares_of_labels_and_defects():
    chosen = limit_samples(MIXED, 20, seed=0)
    assert len(chosen) == 20
    counts = {name: sum(name in item.id for item in chosen) for name in ("good", "crack", "hole")}
    assert counts == {"good": 16, "crack": 3, "hole": 1}
    assert ids(chosen) != ids(MIXED)[:20]
    assert ids(chosen) == [name for name in ids(MIXED) if name in set(ids(chosen))]


@given(n=st.integers(1, 130), seed=st.integers(0, 1000))
def test_a_limit_gives_exactly_that_many_and_leaves_out_no_label(n, seed):
    chosen = limit_samples(MIXED, n, seed=seed)
    assert len(chosen) == min(n, 100)
    assert len(set(ids(chosen))) == len(chosen)
    if n >= 2:
        assert {item.label for item in chosen} == {0, 1}
    if n >= 3:
        assert {item.defect for item in chosen} == {None, "crack", "hole"}


def test_a_limit_does_not_depend_on_the_order():
    shuffled = list(MIXED)
    random.Random(2).shuffle(shuffled)
    assert set(ids(limit_samples(shuffled, 17, seed=3))) == set(ids(limit_samples(MIXED, 17, seed=3)))
    assert set(ids(limit_samples(MIXED, 17, seed=4))) != set(ids(limit_samples(MIXED, 17, seed=3)))


@pytest.mark.parametrize("n", [0, -3, 2.5, True])
def test_a_limit_that_is_no_number_of_images_is_refused(n):
    with pytest.raises(DatasetError, match="limit"):
        limit_samples(MIXED, n, seed=0)


# -- contents, on real solar cells ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Return an MVTec-like folder of real cells: 12 train/good, 4 test/good, 4 test/defect."""
    root = tmp_path_factory.mktemp("cells")
    data = Path(elpv_dataset.__file__).parent / "data"
    rows = [line.split() for line in (data / "labels.csv").read_text(encoding="utf-8").splitlines()]
    good = [data / name for name, probability, kind in rows if (float(probability), kind) == (0.0, "mono")]
    bad = [data / name for name, probability, kind in rows if (float(probability), kind) == (1.0, "mono")]
    for folder, pictures in (("train/good", good[:12]), ("test/good", good[12:16]), ("test/defect", bad[:4])):
        (root / folder).mkdir(parents=True)
        for picture in pictures:
            shutil.copy(picture, root / folder)
    return root


def parts(root, seed=0):
    samples = read_dataset(root)
    split = split_good(samples, 0.25, seed=seed)
    return split.fit, split.calibration, samples.select("test")


def test_real_images_that_differ_pass(cells):
    check_disjoint(*parts(cells))


def test_a_copy_under_another_name_is_found_and_both_files_named(cells, tmp_path):
    root = tmp_path / "cells"
    shutil.copytree(cells, root)
    fit, calibration, test = parts(root)
    shutil.copy(fit[0].source, root / "test/good/zzz.png")
    fit, calibration, test = parts(root)
    with pytest.raises(DatasetError) as caught:
        check_disjoint(fit, calibration, test)
    assert f"{fit[0].id} (fit) = test/good/zzz.png (test)" in caught.value.message
    shutil.copy(calibration[0].source, root / "train/good/zzz.png")
    twins = tuple(item for item in read_dataset(root).samples if item.id == "train/good/zzz.png")
    with pytest.raises(DatasetError, match=r"\(fit\) = .* \(calibration\)"):
        check_disjoint(twins, calibration, ())


def test_copies_within_one_set_are_no_overlap(cells, tmp_path):
    root = tmp_path / "cells"
    shutil.copytree(cells, root)
    shutil.copy(next((root / "test/good").iterdir()), root / "test/good/copy.png")
    check_disjoint(*parts(root))


def test_a_fingerprint_tells_contents_and_names_apart_and_not_their_order_or_place(cells, tmp_path):
    samples = read_dataset(cells).samples
    original = fingerprint(samples)
    assert fingerprint(samples[::-1]) == original
    assert fingerprint(samples[1:]) != original
    root = tmp_path / "elsewhere"
    shutil.copytree(cells, root)
    assert fingerprint(read_dataset(root).samples) == original
    changed = min((root / "train/good").iterdir())
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    assert fingerprint(read_dataset(root).samples) != original


def test_hashes_are_read_once_and_again_when_the_file_changes(cells, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    shutil.copy(min((cells / "train/good").iterdir()), path)
    hashes = ContentHashes()
    first = hashes.of(path)
    monkeypatch.setattr("pyimgano.datasets.hashing.sha256_file", lambda _: pytest.fail("read twice"))
    assert hashes.of(path) == first
    monkeypatch.undo()
    path.write_bytes(path.read_bytes() + b"x")
    assert hashes.of(path) != first


def test_a_file_that_vanished_is_named(cells, tmp_path):
    root = tmp_path / "cells"
    shutil.copytree(cells, root)
    fit, calibration, test = parts(root)
    fit[0].source.unlink()
    for action in (lambda: fingerprint(fit), lambda: check_disjoint(fit, calibration, test)):
        with pytest.raises(DatasetError, match="cannot read") as caught:
            action()
        assert caught.value.where == str(fit[0].source)


def test_real_cells_without_masks_have_empty_masks_when_good_and_none_when_defective(cells):
    samples = read_dataset(cells)
    assert not load_mask(samples.select("test", 0)[0], (300, 300)).any()
    assert load_mask(samples.select("test", 1)[0], (300, 300)) is None
