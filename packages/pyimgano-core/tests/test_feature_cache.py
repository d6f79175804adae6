"""The cache of features: keyed by content, bounded, shared, safe to damage and to delete. Under a second."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pyimgano.core import feature_cache
from pyimgano.core.cache_contents import list_cached, remove_cached, verify_file
from pyimgano.core.errors import ConfigError
from pyimgano.core.feature_cache import FEATURE_CACHE, FeatureCache, feature_cache_limit, image_key, open_feature_cache

FACTS = {"name": "lbp", "version": 1, "radii": [1, 2]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(FEATURE_CACHE, raising=False)
    return tmp_path


def image(seed, side=8):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def key(seed):
    return image_key(image(seed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, 0), ("off", 0), ("0", 0), ("on", 1 << 30), ("2GiB", 2 << 30), ("1.5 MiB", 3 << 19), ("100", 100)],
)
def test_the_variable_switches_and_bounds_it(text, expected, monkeypatch):
    if text is not None:
        monkeypatch.setenv(FEATURE_CACHE, text)
    assert feature_cache_limit() == expected
    assert (open_feature_cache(FACTS) is None) == (expected == 0)


def test_what_is_no_size_is_refused(monkeypatch):
    monkeypatch.setenv(FEATURE_CACHE, "lots")
    with pytest.raises(ConfigError, match=FEATURE_CACHE):
        feature_cache_limit()


def test_what_was_put_comes_back_and_nothing_else():
    kept = FeatureCache(FACTS, 1 << 20)
    features = np.arange(6, dtype=np.float32).reshape(2, 3)
    kept.put(key(0), features)
    again = FeatureCache(dict(FACTS), 1 << 20).get(key(0))
    assert again.tobytes() == features.tobytes()
    assert again.shape == (2, 3)
    assert kept.get(key(1)) is None, "another image"
    assert kept.get(image_key(image(0).reshape(4, 16, 3))) is None, "the same bytes in another shape"
    assert FeatureCache({**FACTS, "radii": [1]}, 1 << 20).get(key(0)) is None, "other parameters"


def test_a_damaged_row_counts_as_none_and_is_removed():
    kept = FeatureCache(FACTS, 1 << 20)
    kept.put(key(0), np.ones(4))
    (row,) = kept.folder.iterdir()
    row.write_bytes(row.read_bytes()[:-40] + b"\0" * 40)
    (listed,) = list_cached()
    assert verify_file(listed).startswith("1 rows are damaged")
    assert kept.get(key(0)) is None
    assert list(kept.folder.iterdir()) == []


def test_beyond_the_limit_the_least_recently_used_goes_first():
    kept = FeatureCache(FACTS, 6000)
    for seed in range(5):
        kept.put(key(seed), np.zeros(200))
        os.utime(kept.folder / key(seed), (seed, seed))
    kept.get(key(0))  # used just now
    for seed in range(5, 8):
        kept.put(key(seed), np.zeros(200))
    left = {path.name for path in kept.folder.iterdir()}
    assert sum((kept.folder / name).stat().st_size for name in left) <= 6000
    assert key(0) in left
    assert key(1) not in left


def test_what_was_read_is_kept_in_memory_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(feature_cache, "_RECENT", feature_cache._Recent(3 * 400))
    kept = FeatureCache(FACTS, 1 << 20)
    for seed in range(4):
        kept.put(key(seed), np.full(100, seed))  # 400 bytes each
    rows = [kept.get(key(seed)) for seed in range(4)]
    for path in kept.folder.iterdir():
        path.unlink()
    assert kept.get(key(0)) is None, "it was read first, and has made room for the fourth"
    assert [kept.get(key(seed)) is rows[seed] for seed in (1, 2, 3)] == [True] * 3
    with pytest.raises(ValueError, match="read-only"):
        rows[1][0] = 7.0


def test_processes_share_it():
    code = (
        "import numpy as np; from pyimgano.core.feature_cache import FeatureCache, image_key\n"
        f"FeatureCache({FACTS!r}, 1 << 20).put(image_key(np.zeros((4, 4, 3), np.uint8)), np.full(3, 7.0))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert FeatureCache(FACTS, 1 << 20).get(image_key(np.zeros((4, 4, 3), np.uint8))).tolist() == [7.0, 7.0, 7.0]


def test_it_is_listed_as_one_and_removed_with_its_description(cache):
    kept = FeatureCache(FACTS, 1 << 20)
    for seed in range(3):
        kept.put(key(seed), np.zeros(10))
    (listed,) = list_cached()
    assert (listed.kind, listed.model, listed.version) == ("features", "lbp", "1")
    assert listed.size >= 3 * 40
    assert verify_file(listed) is None
    remove_cached(listed)
    assert list_cached() == ()
    assert not any(cache.rglob("*.json"))
    kept.put(key(0), np.zeros(2))  # a process that goes on makes the folder anew
    assert kept.get(key(0)).tolist() == [0.0, 0.0]


def test_a_folder_that_cannot_be_written_is_no_error(cache):
    kept = FeatureCache(FACTS, 1 << 20)
    kept.folder.parent.rmdir()
    kept.folder.parent.write_text("a file is in the way", encoding="utf-8")
    kept.put(key(0), np.zeros(2))
    assert kept.get(key(0)) is None
