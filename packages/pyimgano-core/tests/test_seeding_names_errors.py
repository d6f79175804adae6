"""Derived seeds, did-you-mean, and what an error says."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pyimgano.core import errors
from pyimgano.core.names import few_names, nearest_names, unknown_name_hint
from pyimgano.core.seeding import derive_seed, generator


def test_derived_seed_is_the_same_everywhere():
    # Frozen: another value would change every run that was ever recorded.
    assert derive_seed(0) == 1726737503
    assert derive_seed(0, "coreset") == 3184782789
    assert derive_seed(7, "split", 3) == 3530252553


def test_derived_seed_does_not_depend_on_hash_randomisation():
    code = "from pyimgano.core.seeding import derive_seed; print(derive_seed(5, 'split', 'bottle'))"
    seen = set()
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        seen.add(int(done.stdout))
    assert seen == {derive_seed(5, "split", "bottle")}


def test_parts_have_seeds_of_their_own():
    seeds = {derive_seed(seed, *parts) for seed in range(50) for parts in [(), ("a",), ("b",), ("a", "b"), ("ab",)]}
    assert len(seeds) == 250
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_generator_repeats_itself_and_leaves_the_global_state_alone():
    before = np.random.get_state()[1].copy()
    first, second = (generator(3, "coreset").random(5) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, generator(3, "split").random(5))
    assert np.array_equal(np.random.get_state()[1], before)


def test_nearest_names_ignore_case_and_dashes():
    assert nearest_names("Sklearn_Isolation_Forest", ["padim", "sklearn-isolation-forest"]) == [
        "sklearn-isolation-forest"
    ]
    assert nearest_names("pathcore", ["padim", "patchcore"])[0] == "patchcore"
    assert nearest_names("zzzz", ["padim", "patchcore"]) == []


def test_hint_names_the_nearest_and_the_listing():
    assert unknown_name_hint("padin", ["padim"], listing="x list") == "did you mean 'padim'? see: x list"
    assert unknown_name_hint("zzzz", ["padim"]) is None


def test_many_names_are_counted_so_that_what_to_type_is_seen():
    names = [f"model-{number:02}" for number in range(20)]
    assert few_names(reversed(names), "models") == ", ".join(names)
    assert few_names([*names, "model-20"], "models") == "21 models"
    assert few_names([], "models") is None


def test_error_says_what_where_what_is_allowed_and_what_to_type():
    error = errors.ConfigError("unknown key 'sede'", where="run.toml:3", allowed=["seed", "model"], hint="use 'seed'")
    assert str(error) == "run.toml:3: unknown key 'sede'\nallowed: seed, model\nhint: use 'seed'"
    assert error.to_json() == {
        "type": "ConfigError",
        "message": "unknown key 'sede'",
        "where": "run.toml:3",
        "allowed": "seed, model",
        "hint": "use 'seed'",
    }


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_caught_as_one_and_ends_with_a_documented_status(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.PyimganoError)
    assert kind.exit_code in (1, 2, 3, 4, 5, 74)
    assert str(kind("what")) == "what"
