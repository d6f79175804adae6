"""The kit for whole plugins: what keeps the contract passes, and each broken rule is named with how to mend it."""

from __future__ import annotations

from typing import Any

import pytest

from pyimgano.core.testing import (
    COMPONENT_CHECKS,
    DETECTOR_CHECKS,
    FINETUNABLE_CHECKS,
    READER_CHECKS,
    check_component,
    check_dataset_reader,
    parametrize_with_plugin_checks,
    plugin_cases,
    run_plugin_checks,
)

SPECS = """
from pyimgano.core.specs import ComponentSpec, DatasetSpec, ModelSpec, Requirement
{more}
SPECS = [{specs}]
"""
MODEL = """
import numpy as np
from pyimgano.core.detector import BaseDetector
from pyimgano.core.resizing import resize_image

class MeanImage(BaseDetector):
    def __init__(self, size: int = 24) -> None:
        self.size = size

    def prepare(self, image):
        return resize_image(image, (self.size, self.size))

    def _fit(self, images):
        self.mean_ = np.mean([image for batch in images for image in batch], axis=0)

    def _infer_batch(self, batch, *, maps):
        found = np.abs(np.stack(batch) - self.mean_).mean(axis=-1).astype(np.float32)
        return found.reshape(len(found), -1).max(axis=1), found if maps else None

    def _get_state(self):
        return {"mean": self.mean_}, {}

    def _set_state(self, arrays, facts):
        self.mean_ = arrays["mean"]

class Forgetful(MeanImage):
    def _set_state(self, arrays, facts):
        self.mean_ = np.zeros_like(arrays["mean"])

class Demanding(MeanImage):
    def __init__(self, size: int) -> None:
        self.size = size

class Open(MeanImage):
    def __init__(self, size: int = 24, **more) -> None:
        self.size = size

class Clumsy(MeanImage):
    def _infer_batch(self, batch, *, maps):
        return np.stack([image[self.size] for image in batch]), None

class Picky(MeanImage):
    def validate(self) -> None:
        from pyimgano.core.parameters import require
        require(self.size > 100, "size", self.size, "above 100")
"""


@pytest.fixture
def checked(plug_in):
    """Return ``checked(specs, more="", group="models", **modules)``: check → result of a plugin with these specs."""

    def check(
        specs: str, *, more: str = "", group: str = "models", params: Any = None, **modules: str
    ) -> dict[str, Any]:
        sources = {"stranger_specs": SPECS.format(specs=specs, more=more), "stranger_models": MODEL, **modules}
        plug_in("stranger", {f"pyimgano.{group}": {"x": "stranger_specs:SPECS"}}, sources)
        return {result.check: result for result in run_plugin_checks("stranger", params=params)}

    return check


def model(factory: str, **fields: Any) -> str:
    given = "".join(f", {name}={value!r}" for name, value in {"pixel_map": True, **fields}.items())
    return f'ModelSpec("stranger-model", "A model", "stranger_models:{factory}"{given})'


def broken(results: dict[str, Any]) -> set[str]:
    return {name for name, result in results.items() if result.status == "failed"}


def test_sound_model_keeps_every_rule(checked):
    results = checked(model("MeanImage"))
    assert {check.__name__ for check in DETECTOR_CHECKS} < results.keys()
    assert {result.status for result in results.values()} == {"ok"}
    assert all(result.message is None and result.remedy is None and result.rule for result in results.values())


def test_broken_rule_is_named_with_what_is_wrong_and_how_to_mend_it(checked):
    results = checked(model("Forgetful"))
    assert broken(results) == {"check_save_and_load"}
    found = results["check_save_and_load"]
    assert found.subject == "model stranger-model"
    assert found.rule == "``load(save)`` gives the same scores and maps to the last bit, without pickle."
    assert found.message == "the loaded detector scores otherwise"
    assert "_get_state must return all that _infer_batch reads" in found.remedy
    assert found.to_json()["status"] == "failed"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"pixel_map": False}, "infer gives anomaly maps, and the spec says pixel_map=False"),
        ({"checkpoint": False}, "the spec says checkpoint=False; save and load: True"),
        ({"finetune": True}, "the spec says finetune=True, and the model is not Finetunable"),
        ({"export": ("onnx",)}, "the spec says export=('onnx',), and the model has no export_onnx"),
    ],
)
def test_spec_that_claims_what_is_not_so_is_told(checked, fields, told):
    assert checked(model("MeanImage", **fields))["check_spec_tells_the_truth"].message == told


@pytest.mark.parametrize(
    ("factory", "told"), [("Demanding", "missing 1 required"), ("Picky", "size = 24\nallowed: above 100")]
)
def test_model_that_cannot_be_made_is_told_once_and_the_rest_is_not_checked(checked, factory, told):
    results = checked(model(factory))
    assert broken(results) == {"check_default_parameters"}
    assert told in results["check_default_parameters"].message
    assert results["check_fit_returns_self"].status == "not-checked"


def test_parameters_of_the_check_reach_the_model(checked):
    assert broken(checked(model("Demanding"), params={"stranger-model": {"size": 16}})) == set()
    cases = {case.check: case for case in plugin_cases("stranger", params={"stranger-model": {"sise": 16}})}
    assert "did you mean 'sise' → 'size'?" in cases["check_factory"].result().message


def test_parameters_without_names_are_told(checked):
    assert "takes **kwargs" in checked(model("Open"))["check_factory"].message


def test_missing_library_that_the_spec_names_is_no_fault(checked):
    more = 'NEED = Requirement("absent_backend", "some-models", "quick")'
    spec = 'ModelSpec("stranger-model", "A model", "stranger_models:MeanImage", requires=(NEED,))'
    results = checked(spec, more=more)
    assert broken(results) == set()
    assert results["check_factory"].status == "not-checked"
    assert results["check_factory"].remedy == 'pip install "some-models[quick]"'
    assert results["check_save_and_load"].status == "not-checked"


def test_missing_library_that_the_spec_does_not_name_is_told(checked):
    results = checked(model("MeanImage"), stranger_models="import absent_backend\n" + MODEL)
    assert broken(results) == {"check_factory"}
    assert "absent_backend" in results["check_factory"].message
    assert "`requires`" in results["check_factory"].remedy


def test_error_in_the_module_of_the_factory_is_told_with_its_line(checked):
    results = checked(model("MeanImage"), stranger_models="x = 1\nx.nothing\n")
    assert broken(results) == {"check_factory"}
    what, where = results["check_factory"].message.splitlines()
    assert what == "AttributeError: 'int' object has no attribute 'nothing'"
    assert 'stranger_models.py", line 2' in where
    assert results["check_fit_returns_self"].message == "its factory does not resolve, see check_factory"


def test_unexpected_error_is_told_with_its_line_in_the_package(checked):
    message = checked(model("Clumsy"))["check_defects_score_higher"].message
    assert message.startswith("IndexError: index 24 is out of bounds")
    assert 'stranger_models.py", line' in message


def test_what_a_listing_would_suffer_from_is_told(checked):
    spec = model("MeanImage").replace("A model", "").replace("stranger-model", "Stranger_Model")
    results = checked(spec, more="import numpy")
    assert broken(results) == {"check_listing_is_light", "check_spec"}
    assert "stranger_specs imports numpy" in results["check_listing_is_light"].message
    assert "the name 'Stranger_Model'" in results["check_spec"].message
    assert "a summary is one line" in results["check_spec"].message


def test_entry_point_that_holds_no_specs_is_told(checked):
    results = checked("1")
    assert broken(results) == {"check_entry_loads"}
    assert "holds a int, not a ModelSpec" in results["check_entry_loads"].message


def test_name_that_belongs_to_another_is_told(checked):
    results = checked(
        'DatasetSpec("folder", "Not the layout", "stranger_readers:Reader")', group="datasets", stranger_readers=READERS
    )
    assert "'folder' belongs to pyimgano-workbench" in results["check_names_are_free"].message
    assert "reached as stranger:NAME" in results["check_names_are_free"].message


# -- readers and components ------------------------------------------------------------------------------------------

READERS = """
from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError

class Reader:
    def detect(self, root):
        return f"{len(list(root.glob('*.png')))} images" if root.is_dir() and list(root.glob("*.png")) else None

    def read(self, root, *, categories=None):
        found = sorted(root.glob("*.png")) if root.is_dir() else []
        if not found or categories:
            raise DatasetError("no such layout", where=str(root))
        return Samples(root, self.order(tuple(Sample(self.id(path), path, label=0) for path in found)))

    def order(self, samples):
        return samples

    def id(self, path):
        return path.name

class Greedy(Reader):
    def detect(self, root):
        return "looks good"

    def read(self, root, *, categories=None):
        return Samples(root, ())

class Unsorted(Reader):
    def order(self, samples):
        return samples[::-1]

class Absolute(Reader):
    def id(self, path):
        return path.as_posix()
"""


@pytest.fixture
def readers():
    namespace: dict[str, Any] = {}
    exec(READERS, namespace)
    return namespace


@pytest.fixture
def images(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"nothing is decoded")
    return tmp_path


def test_sound_reader_keeps_the_contract(readers, images):
    check_dataset_reader(readers["Reader"], root=images)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Greedy", "detect takes an empty folder for the layout: 'looks good'"),
        ("Unsorted", "samples must be sorted by id"),
        ("Absolute", "an id is relative to the root"),
    ],
)
def test_reader_that_breaks_a_rule_is_told(readers, images, name, told):
    with pytest.raises(AssertionError, match=told):
        check_dataset_reader(readers[name], root=images)


COMPONENTS = """
import numpy as np
from pyimgano.core.errors import ParameterError

class Drift:
    geometric = False
    def __init__(self, severity: int = 3) -> None:
        if severity not in (1, 2, 3, 4, 5):
            raise ParameterError("no severity")
        self.severity = severity
    def noise(self, rng, shape):
        return rng.integers(0, self.severity + 1, shape)
    def __call__(self, image, rng, *, mask=None):
        noisy = np.minimum(image.astype(int) + self.noise(rng, image.shape), 255).astype(np.uint8)
        return noisy, None if mask is None else mask.copy()

class OwnChance(Drift):
    def noise(self, rng, shape):
        return np.random.default_rng().integers(0, self.severity + 1, shape)

class MaskLost(Drift):
    def __call__(self, image, rng, *, mask=None):
        return super().__call__(image, rng)

class Step:
    learns = True
    def fit(self, images):
        self.mean = float(np.mean([image.mean() for image in images]))
        return self
    def __call__(self, image):
        return np.clip(image + (self.mean - image.mean()), 0, 255).astype(np.uint8), None
    def get_state(self):
        return {}, {"mean": self.mean}
    def set_state(self, arrays, facts):
        self.mean = facts["mean"]

class Careless(Step):
    def __call__(self, image):
        image += 1
        return image, None

class StepForgets(Step):
    def set_state(self, arrays, facts):
        self.mean = 0.0

class Rule:
    learns = False
    def __call__(self, anomaly_map, shape):
        return np.sqrt(anomaly_map)

class Doubling(Rule):
    def __call__(self, anomaly_map, shape):
        return anomaly_map.astype(np.float64) * 2

class Threshold:
    def images_needed(self, alpha):
        return 1
    def threshold(self, scores, alpha):
        return float(np.quantile(scores, 1 - alpha))
    def guarantee(self, alpha, n):
        return "nothing"

class LastScore(Threshold):
    def threshold(self, scores, alpha):
        return scores[-1]

class CheapestOf(Threshold):
    def defects_needed(self, alpha):
        return 5
    def threshold_with_defects(self, scores, defect_scores, alpha):
        return float((scores.mean() + defect_scores.mean()) / 2)
    def guarantee_with_defects(self, alpha, n, n_defects):
        return "nothing"

class FirstDefect(CheapestOf):
    def threshold_with_defects(self, scores, defect_scores, alpha):
        return defect_scores[0]

class Spot:
    def __init__(self, severity: int = 3) -> None:
        if severity not in (1, 2, 3, 4, 5):
            raise ParameterError("no severity")
        self.severity = severity
    def place(self, rng, allowed):
        rows, columns = np.nonzero(allowed)
        at = rng.integers(len(rows))
        return rows[at], columns[at]
    def __call__(self, image, rng, *, donor=None, roi=None):
        allowed = np.ones(image.shape[:2], bool) if roi is None else roi
        row, column = self.place(rng, allowed)
        mask = np.zeros_like(allowed)
        mask[max(0, row - self.severity) : row + 1, column] = True
        mask &= allowed
        changed = image.copy()
        changed[mask] = 255 - changed[mask]
        return changed, mask

class AnywhereSpot(Spot):
    def __call__(self, image, rng, *, donor=None, roi=None):
        return super().__call__(image, rng)

class SometimesNone(Spot):
    def __call__(self, image, rng, *, donor=None, roi=None):
        return image.copy(), np.zeros(image.shape[:2], bool)

class AnySeverity(Spot):
    def __init__(self, severity: int = 3) -> None:
        self.severity = severity

class Told:
    def record(self, run):
        pass

class WantsMore(Told):
    def record(self, run, project):
        pass

class Describer:
    name = "stranger"
    facts = {"version": 1}
    def describe_batch(self, batch):
        return np.stack([image.mean(axis=(0, 1)) for image in batch]).astype(np.float32)

class Centred(Describer):
    def describe_batch(self, batch):
        rows = super().describe_batch(batch)
        return rows - rows.mean(axis=0)
"""


@pytest.fixture
def components():
    namespace: dict[str, Any] = {}
    exec(COMPONENTS, namespace)
    return namespace


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("augment", "Drift", None),
        ("augment", "OwnChance", "chance comes from elsewhere"),
        ("augment", "MaskLost", "the mask is lost"),
        ("preprocess", "Step", None),
        ("preprocess", "Careless", "changes the image that it is given"),
        ("preprocess", "StepForgets", "given get_state\\(\\) changes the image otherwise"),
        ("postprocess", "Rule", None),
        ("postprocess", "Doubling", "gives float64"),
        ("threshold", "Threshold", None),
        ("threshold", "LastScore", "scores in another order give another threshold"),
        ("defects", "Spot", None),
        ("defects", "AnywhereSpot", "the mask leaves the region of interest"),
        ("defects", "SometimesNone", "the mask is empty"),
        ("defects", "AnySeverity", "severity=6 did not raise"),
        ("sink", "Told", None),
        ("sink", "WantsMore", "cannot be called with a run alone"),
        ("sink", "Rule", "lacks the method record"),
        ("features", "Describer", None),
        ("features", "Centred", "alone and in a batch"),
        ("features", "Rule", "is neither a FeatureExtractor"),
        ("weights", "Rule", "lacks a method of WeightsProvider"),
    ],
)
def test_component_keeps_the_contract_of_its_kind_or_is_told(components, kind, name, told):
    if told is None:
        check_component(kind, components[name])
        return
    with pytest.raises(AssertionError, match=told):
        check_component(kind, components[name])


@pytest.mark.parametrize(
    ("name", "said"), [("CheapestOf", None), ("FirstDefect", "scores in another order give another threshold")]
)
def test_threshold_with_the_tag_defects_is_asked_for_labelled_scores(checked, name, said):
    spec = f'ComponentSpec("stranger-cost", "A rule", "stranger_parts:{name}", kind="threshold", tags=("defects",))'
    results = checked(spec, group="components", stranger_parts=COMPONENTS)
    assert results["check_labelled_threshold_method"].message == said


def test_kind_without_a_contract_is_refused_by_name():
    with pytest.raises(ValueError, match=r"no check for the kind 'sinks'; there are those of features, .*, sink"):
        check_component("sinks", object)


def test_component_that_needs_a_parameter_is_not_checked_without_it(checked):
    spec = 'ComponentSpec("stranger-step", "A step", "stranger_parts:Shift", kind="preprocess")'
    parts = COMPONENTS + "\nclass Shift(Step):\n    def __init__(self, by: int) -> None:\n        self.by = by\n"
    results = checked(spec, group="components", stranger_parts=parts)
    found = results["check_preprocessing"]
    assert (found.status, found.message) == ("not-checked", "it cannot be made without by")
    assert found.remedy == "pyimgano plugins check DIST --set preprocess/stranger-step.by=VALUE"
    params = {"preprocess/stranger-step": {"by": 2}}
    cases = {case.check: case for case in plugin_cases("stranger", params=params)}
    assert cases["check_preprocessing"].result().status == "ok"


def test_preset_that_the_recipe_does_not_define_is_told_before_it_is_run(checked):
    spec = 'RecipeSpec("stranger-recipe", "A recipe", "stranger_recipe:Recipe", presets=("fast", "slow"))'
    recipe = 'class Recipe:\n    presets = {"fast": {}}\n    def run(self, config, run):\n        pass\n'
    more = "from pyimgano.core.specs import RecipeSpec"
    results = checked(spec, more=more, group="recipes", stranger_recipe=recipe)
    assert broken(results) == {"check_presets"}
    assert results["check_presets"].message == "the spec lists slow; the recipe defines fast"
    assert results["check_recipe_run"].status == "not-checked"


# -- pytest ----------------------------------------------------------------------------------------------------------


def cases(distribution):
    mark = parametrize_with_plugin_checks(distribution).mark
    return dict(zip(mark.kwargs["ids"], mark.args[1]))


def test_pytest_has_one_case_per_rule_that_tells_how_to_mend_it(checked):
    checked(model("Forgetful"))
    found = cases("stranger")
    assert len(found) == len(list(plugin_cases("stranger")))
    found["model-stranger-model-check_fit_returns_self"]()
    with pytest.raises(AssertionError, match=r"scores otherwise\n\nrule: .*\nhow to mend it: _get_state"):
        found["model-stranger-model-check_save_and_load"]()


def test_pytest_skips_what_cannot_be_checked(checked):
    checked(model("Picky"))
    with pytest.raises(pytest.skip.Exception, match="the model cannot be made"):
        cases("stranger")["model-stranger-model-check_fit_returns_self"]()


def test_pytest_refuses_a_distribution_that_offers_nothing():
    with pytest.raises(ValueError, match="'no-such-plugin' offers nothing"):
        parametrize_with_plugin_checks("no-such-plugin")


def test_every_rule_has_a_remedy_and_every_remedy_a_rule(checked):
    from pyimgano.core.testing import _command_cases, _plugin_cases, _reader_checks
    from pyimgano.core.testing._remedies import REMEDIES

    rules = [*DETECTOR_CHECKS, *FINETUNABLE_CHECKS, *READER_CHECKS, *COMPONENT_CHECKS.values()]
    names = {rule.__name__ for rule in rules} | {
        name
        for module in (_plugin_cases, _command_cases, _reader_checks)
        for name in vars(module)
        if name.startswith("check_")
    }
    others = {"check_parameters", "check_recipe", "check_dataset_reader"}  # put together from rules, or no rules
    assert names - others == REMEDIES.keys()
