"""PyOD's detectors: the table against the PyOD that is installed, the contract, parameters, saving.

About 30 s; what compiles with numba or trains long is marked ``long``.
"""

from __future__ import annotations

import ast
import contextlib
import random
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.creation import create_model, list_models, load_model, model_info
from pyimgano.core.errors import CheckpointError, MissingDependencyError, ParameterError
from pyimgano.core.state import read_state, write_state
from pyimgano.core.testing import check_detector, make_check_images
from pyimgano.models.pyod_detectors import pyod_class
from pyimgano.models.pyod_table import PYOD_DETECTORS, PYOD_MODELS, SCORED, PyodEntry, pyod_entry
from pyimgano.models.seeded_random import seeded_random

pyod = pytest.importorskip("pyod", reason="PyOD is not installed: the extra pyod brings it")
with contextlib.suppress(ImportError):
    import torch  # some of PyOD's detectors need it, and numba changes how many threads it has

TINY = {"features": {"name": "lbp", "params": {"radii": [1], "grid": 1}}, "input_size": 48}
LONG = {"abod", "auto-encoder", "copod", "hbos", "inne", "qmcd", "rod", "sod"}
"""They take seconds, whatever they are given: numba compiles, networks train."""
SMALL = {
    "alad": {"epochs": 20},
    "anogan": {"epochs": 20},
    "dif": {"n_ensemble": 5},
    "lunar": {"n_epochs": 50},
}
"""Less than a network would train by default, where that takes long."""
UNDECIDED = {"hdbscan", "mo-gaal", "so-gaal", "so-gaal-new"}
"""Of a few dozen images they make one cluster of noise, or an untrained generator: they tell no defect."""


def installed_detectors() -> set[str]:
    """Return "module:class" of every detector in the installed PyOD, read without importing what it needs."""
    found = set()
    for path in (Path(pyod.__file__).parent / "models").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            bases = {getattr(base, "id", "") for base in getattr(node, "bases", ())}
            if bases & {"BaseDetector", "BaseDeepLearningDetector"} and not path.stem.startswith("base"):
                found.add(f"{path.stem}:{node.name}")
    return found


def test_the_table_has_every_detector_of_the_installed_pyod():
    missing = installed_detectors() - {entry.path for entry in PYOD_DETECTORS}
    lines = [
        f'    PyodEntry("{p.partition(":")[2].lower()}", "{p}", "<family>", "<scored>", "<title>"),' for p in missing
    ]
    assert not missing, "PyOD has detectors that the table in pyod_table.py lacks; add, and judge:\n" + "\n".join(lines)


def test_the_table_has_nothing_that_the_newest_pyod_lacks():
    if tuple(int(part) for part in pyod.__version__.split(".")[:2]) < (3, 6):
        assert len(installed_detectors()) > 50
        return
    assert {entry.path for entry in PYOD_DETECTORS} <= installed_detectors()


def test_the_table_is_in_itself_sound():
    assert len({entry.name for entry in PYOD_DETECTORS}) == len(PYOD_DETECTORS)
    modules = [entry.path for entry in PYOD_DETECTORS]
    assert [path.partition(":")[0] for path in modules] == sorted(path.partition(":")[0] for path in modules)
    for entry in PYOD_DETECTORS:
        assert entry.scored in SCORED
        assert bool(entry.why) == (entry.scored in ("refused", "not-applicable"))
        assert bool(entry.title) == (entry.scored != "not-applicable")


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.9 does not list its own modules")
def test_the_table_says_what_a_module_of_pyod_imports_that_pyod_does_not_ask_for():
    asked = {re.match(r"[\w-]+", line)[0] for line in requires("pyod") if "extra ==" not in line}
    given = {*sys.stdlib_module_names, *asked, "pyod", "sklearn"}
    for entry in PYOD_DETECTORS:
        module = Path(pyod.__file__).parent / "models" / f"{entry.path.partition(':')[0]}.py"
        if entry.scored in ("refused", "not-applicable") or not module.exists():
            continue
        imported = set()
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
        assert imported - given <= {need.module for need in entry.requires}, entry.name


def test_listing_imports_no_pyod():
    code = (
        "import sys; from pyimgano.core.creation import list_models\n"
        "assert any(m['name'] == 'pyod-knn' for m in list_models(tags=('pyod',)))\n"
        "assert not {'pyod', 'numpy', 'sklearn', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_refused_is_listed_as_transductive_and_says_why():
    refused = {entry["name"] for entry in list_models(tags=("pyod", "transductive"))}
    assert refused == {f"pyod-{entry.name}" for entry in PYOD_DETECTORS if entry.scored == "refused"}
    for name in refused:
        with pytest.raises(ParameterError, match="does not score new images: "):
            create_model(name)


# -- the contract ----------------------------------------------------------------------------------------------------


def cases(long=False):
    for entry in PYOD_DETECTORS:
        if entry.scored in ("refused", "not-applicable"):
            continue
        marks = [pytest.mark.long] if entry.slow or entry.name in LONG else []
        yield pytest.param(entry, id=entry.name, marks=marks)


@pytest.fixture(scope="module")
def images():
    return make_check_images(train=36, good=6, defective=6)


def surroundings():
    """What a detector must leave as it was: the global generators, and torch's threads."""
    threads = torch.get_num_threads() if "torch" in sys.modules else None
    return random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2], threads


@pytest.mark.parametrize("entry", cases())
def test_every_detector_scores_an_image_by_itself_and_again_after_loading(entry, images, tmp_path):
    name = f"pyod-{entry.name}"
    absent = [need for need in model_info(name)["requires"] if not need["installed"]]
    if absent:
        pytest.skip(f"needs {absent[0]['module']}, an optional dependency of PyOD: {absent[0]['pip']}")
    try:
        pyod_class(entry)
    except MissingDependencyError as error:
        pytest.skip(f"PyOD {pyod.__version__} is older than this detector: {error.message}")
    random.seed(1)
    np.random.seed(1)
    before = surroundings()

    detector = create_model(name, **TINY, **SMALL.get(entry.name, {}), seed=3).fit(images.train)
    scores = detector.decision_function(images.test)
    alone = np.concatenate([detector.decision_function([image]) for image in images.test[::3]])
    detector.save(tmp_path)
    loaded = load_model(name, tmp_path)

    assert np.isfinite(scores).all()
    assert alone.tobytes() == scores[::3].tobytes(), "a score depends on the batch"
    assert loaded.decision_function(images.test).tobytes() == scores.tobytes()
    assert not [path for path in tmp_path.iterdir() if path.name not in ("detector.json", "state.safetensors")]
    assert surroundings() == before
    if entry.name not in UNDECIDED:
        assert scores[6:].mean() > scores[:6].mean()


@pytest.mark.parametrize("name", ["pyod-knn", "pyod-ecod", "pyod-iforest", "pyod-pca", "pyod-sos"])
def test_some_keep_the_whole_contract(name):
    check_detector(lambda: create_model(name, **TINY), batch_tolerance=0.0)


def test_patches_are_scored_by_detectors_whose_rows_do_not_touch_each_other(images):
    patches = {"features": "patches", "level": "patch", "input_size": 48, "max_patches": 150}
    check_detector(lambda: create_model("pyod-knn", **patches), batch_tolerance=0.0)
    with pytest.raises(ParameterError, match="one row at a time"):
        create_model("pyod-ecod", **patches)


# -- parameters ------------------------------------------------------------------------------------------------------


def test_the_parameters_are_those_of_pyods_signature():
    listed = model_info("pyod-knn")["parameters"]
    assert listed["n_neighbors"]["default"] == 5
    assert listed["method"]["default"] == "largest"
    assert {"features", "steps", "level", "seed"} <= set(listed)
    assert "random_state" not in model_info("pyod-iforest")["parameters"]


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("pyod-knn", {"n_neighbours": 3}, "'n_neighbors'"),
        ("pyod-knn", {"contamination": 0.9}, "contamination must be in"),
        ("pyod-knn", {"random_state": 3}, "unknown parameter 'random_state'"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name, params, said):
    with pytest.raises(ParameterError) as refused:
        create_model(name, **params)
    assert said in str(refused.value)


def test_a_parameter_reaches_pyod(images):
    from pyod.models.knn import KNN

    detector = create_model("pyod-knn", **TINY, steps=[], n_neighbors=2, method="mean").fit(images.train)
    rows = detector._image_features.describe([detector.prepare(image) for image in images.train])
    asked = detector._image_features.describe([detector.prepare(image) for image in images.test])
    expected = KNN(n_neighbors=2, method="mean").fit(rows.astype(float)).decision_function(asked.astype(float))
    np.testing.assert_allclose(detector.decision_function(images.test), expected, rtol=1e-12)


def test_what_pyod_cannot_fit_is_an_error_that_says_so(images):
    with pytest.raises(ParameterError, match="PyOD cannot fit it on 3 rows"):
        create_model("pyod-knn", **TINY, n_neighbors=20).fit(images.train[:3])


def test_a_detector_that_the_installed_pyod_lacks_names_the_remedy():
    with pytest.raises(MissingDependencyError, match="no Newer"):
        pyod_class(PyodEntry("newer", "newer_than_this:Newer", "density", "native", "of tomorrow"))


def test_the_seed_decides_what_is_drawn_by_lot(images):
    scores = [
        create_model("pyod-iforest", **TINY, n_estimators=10, seed=seed)
        .fit(images.train)
        .decision_function(images.test)
        for seed in (0, 0, 1)
    ]
    assert scores[0].tobytes() == scores[1].tobytes() != scores[2].tobytes()


# -- saving ----------------------------------------------------------------------------------------------------------


def test_a_detector_that_scores_otherwise_when_fitted_again_is_refused(images, tmp_path):
    create_model("pyod-knn", **TINY).fit(images.train).save(tmp_path)
    arrays, record = read_state(tmp_path)
    arrays["estimator0.probes"] = arrays["estimator0.probes"] * 1.01
    write_state(tmp_path, arrays, {k: v for k, v in record.items() if k not in ("schema_version", "state_sha256")})
    with pytest.raises(CheckpointError, match="fitted again on the saved features"):
        load_model("pyod-knn", tmp_path)


def test_the_generators_are_as_before_after_a_seeded_block():
    random.seed(5)
    np.random.seed(5)
    expected = (random.random(), np.random.random())
    random.seed(5)
    np.random.seed(5)
    drawn = []
    for _ in range(2):
        with seeded_random(7):
            drawn.append((random.random(), np.random.random()))
    assert drawn[0] == drawn[1] != expected
    assert (random.random(), np.random.random()) == expected


def test_how_an_entry_is_scored_decides_whether_it_has_maps():
    for spec in PYOD_MODELS:
        assert spec.pixel_map == (pyod_entry(spec.name[len("pyod-") :]).scored == "native")
