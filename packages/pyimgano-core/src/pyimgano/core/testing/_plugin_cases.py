"""Every rule of the contract, asked of everything that an installed distribution offers."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Callable, Optional

from pyimgano.core.contracts import Finetunable
from pyimgano.core.errors import MissingDependencyError, ParameterError, PluginError
from pyimgano.core.parameters import check_parameters, describe_parameters
from pyimgano.core.plugins import GROUPS, PluginRecord, installed, resolve
from pyimgano.core.registry import COMPONENTS, DATASETS, MODELS, RECIPES, Registry
from pyimgano.core.specs import API_VERSION, ComponentSpec, DatasetSpec, ModelSpec, RecipeSpec, Spec
from pyimgano.core.testing._command_cases import check_command, check_presets, check_recipe_run
from pyimgano.core.testing._component_checks import COMPONENT_CHECKS, check_labelled_threshold_method
from pyimgano.core.testing._detector_checks import DETECTOR_CHECKS, Subject
from pyimgano.core.testing._finetunable_checks import FINETUNABLE_CHECKS
from pyimgano.core.testing._plugin_checks import heavy_imports, plugin_records, spec_problems
from pyimgano.core.testing._reader_checks import READER_CHECKS
from pyimgano.core.testing._results import BrokenRule, CheckResult, NotChecked, PluginCase, own_line

__all__ = ["parametrize_with_plugin_checks", "plugin_cases", "run_plugin_checks"]

REGISTRIES: dict[str, Registry[Any]] = {
    registry.group: registry for registry in (MODELS, RECIPES, DATASETS, COMPONENTS)
}
NOUNS = {ModelSpec: "model", RecipeSpec: "recipe", DatasetSpec: "dataset", ComponentSpec: "component"}

Params = Mapping[str, Mapping[str, Any]]


class _Offered:
    """A spec under test: what its factory names is resolved once, at the first rule that needs it."""

    def __init__(self, spec: Spec, params: Mapping[str, Any]) -> None:
        self.spec = spec
        self.params = dict(params)

    @cached_property
    def target(self) -> Any:
        """What the factory names."""
        return resolve(self.spec.factory, requires=self.spec.requires, where=self.spec.key)

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """What makes one, with the parameters of this check; a rule that builds on it is not checked without it."""
        target = self._resolved()
        if not callable(target):
            raise NotChecked("its factory is not callable, see check_factory")
        if self.params:
            try:
                check_parameters(target, self.params, where=self.spec.key)
            except ParameterError as error:
                raise NotChecked("its parameters do not fit, see check_factory") from error
        missing = [
            name
            for name, parameter in describe_parameters(target).items()
            if parameter["required"] and name not in self.params
        ]
        if missing and isinstance(self.spec, ComponentSpec):
            given = " ".join(f"--set {self.spec.key}.{name}=VALUE" for name in missing)
            raise NotChecked(f"it cannot be made without {', '.join(missing)}", f"pyimgano plugins check DIST {given}")
        return lambda **more: target(**{**self.params, **more})

    def _resolved(self) -> Any:
        try:
            return self.target
        except MissingDependencyError as error:
            raise NotChecked(error.message, error.hint) from error
        except PluginError as error:
            raise NotChecked("its factory does not resolve, see check_factory") from error

    def make(self) -> Any:
        """Return a new one."""
        return self.factory()


class _Model(_Offered):
    """A model under test."""

    @cached_property
    def subject(self) -> Subject:
        """The detector and what it was fitted on."""
        return Subject(self.make)

    @cached_property
    def sound(self) -> None:
        """Nothing; raises :class:`NotChecked` when the model cannot be made."""
        try:
            check_default_parameters(self)
        except AssertionError as error:
            raise NotChecked(f"the model cannot be made: {error}") from error


def check_entry_loads(record: PluginRecord) -> None:
    """An entry point's module is imported, and holds specs of its group."""
    message = str(record.message)
    if record.status == "missing-dependency":
        raise BrokenRule(
            f"{message}, and the listing must work without it",
            "import it in the function that needs it; where a user may lack it, say so in the spec's `requires`",
        )
    if record.status == "incompatible":
        raise BrokenRule(message, f"write it for API {API_VERSION} and leave `api` out: see docs/extending.md")
    assert record.status in ("ok", "conflict"), message + own_line(record.traceback or "", record.entry.value)


def check_listing_is_light(record: PluginRecord) -> None:
    """The module that holds the specs imports nothing heavy: every listing loads it."""
    problems = heavy_imports(record.entry.value)
    assert not problems, "; ".join(problems)


def check_names_are_free(record: PluginRecord) -> None:
    """No name belongs to somebody else."""
    registry = REGISTRIES[record.entry.group]
    known = next((found for found in registry.records() if found.entry == record.entry), record)
    assert not known.conflicts, f"{known.message}; it can only be reached as {known.entry.distribution}:NAME"


def check_spec(offered: _Offered) -> None:
    """A spec has a name that can be typed, a summary of one line, and a kind that exists."""
    problems = list(spec_problems(offered.spec))
    assert not problems, "; ".join(problems)


def check_factory(offered: _Offered) -> None:
    """The factory is found where the spec says, can be called, and names each of its parameters."""
    if all(installed(requirement.module) for requirement in offered.spec.requires):
        try:
            target = offered.target
        except MissingDependencyError as error:
            raise AssertionError(f"{error.message}, and `requires` does not say so") from error
        except PluginError as error:
            cause = error.__cause__ or error
            trace = "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
            told = f"{type(cause).__name__}: {cause}{own_line(trace, offered.spec.factory)}"
            raise AssertionError(told) from error
    else:
        target = offered.target  # raises MissingDependencyError: not checked
    if isinstance(offered.spec, RecipeSpec):
        assert callable(getattr(target, "run", None)), f"{offered.spec.factory} has no method run"
        return
    assert callable(target), f"{offered.spec.factory} is a {type(target).__name__}, and not callable"
    if isinstance(offered.spec, (ModelSpec, ComponentSpec)):
        kinds = [parameter.kind for parameter in inspect.signature(target).parameters.values()]
        assert inspect.Parameter.VAR_KEYWORD not in kinds, (
            "it takes **kwargs, so typing errors in parameters cannot be found; name each parameter"
        )
    if offered.params:
        check_parameters(target, offered.params, where=offered.spec.key)


def check_default_parameters(model: _Model) -> None:
    """A model is made without a parameter, and its ``validate``, where there is one, accepts that."""
    try:
        made = model.make()
        validate = getattr(made, "validate", None)
        if validate is not None:
            validate()
    except (TypeError, ValueError) as error:  # ParameterError is a TypeError
        raise AssertionError(f"{type(error).__name__}: {error}") from error


def check_spec_tells_the_truth(model: _Model) -> None:
    """The spec claims maps, checkpoints, training and export exactly where the model has them."""
    _ = model.sound
    spec = model.spec
    assert isinstance(spec, ModelSpec)
    fitted = model.subject.fitted
    maps = model.subject.scores.maps is not None
    assert spec.pixel_map or not maps, "infer gives anomaly maps, and the spec says pixel_map=False"
    assert maps or not spec.pixel_map or not getattr(fitted, "makes_maps", True), (
        "the spec says pixel_map=True, and infer gives no anomaly maps"
    )
    saves = callable(getattr(fitted, "save", None)) and callable(getattr(type(fitted), "load", None))
    assert spec.checkpoint == saves, f"the spec says checkpoint={spec.checkpoint}; save and load: {saves}"
    trains = isinstance(fitted, Finetunable)
    assert trains or not spec.finetune, "the spec says finetune=True, and the model is not Finetunable"
    exports = callable(getattr(fitted, "export_onnx", None))
    assert exports or "onnx" not in spec.export, "the spec says export=('onnx',), and the model has no export_onnx"


def plugin_cases(distribution: str, *, params: Optional[Params] = None) -> Iterator[PluginCase]:
    """Yield every rule that is to be asked of an installed distribution; nothing heavy is imported by this.

    Parameters
    ----------
    distribution : str
        Its normalised name, e.g. ``"acme-inspect"``.
    params : mapping of str to mapping, optional
        Key of a spec → parameters to make it with, e.g. few steps for a model that is trained.
    """
    modules: set[str] = set()
    for record in plugin_records(distribution):
        if GROUPS[record.entry.group] is None:
            yield PluginCase.of(f"command {record.entry.name}", check_command, record)
            continue
        place = f"{record.entry.group} = {record.entry.value}"
        yield PluginCase.of(place, check_entry_loads, record)
        if record.specs:
            module = record.entry.value.partition(":")[0]
            if module not in modules:  # one module may hold the specs of several groups
                yield PluginCase.of(place, check_listing_is_light, record)
            modules.add(module)
            yield PluginCase.of(place, check_names_are_free, record)
        for spec in record.specs:
            for case in _cases_of(spec, (params or {}).get(spec.key, {}), record):
                yield dataclasses.replace(case, source=spec.factory)


def _cases_of(spec: Spec, params: Mapping[str, Any], record: PluginRecord) -> Iterator[PluginCase]:
    offered = _Model(spec, params) if isinstance(spec, ModelSpec) else _Offered(spec, params)
    subject = f"{NOUNS.get(type(spec), 'spec')} {spec.key}"
    yield PluginCase.of(subject, check_spec, offered)
    yield PluginCase.of(subject, check_factory, offered)
    if isinstance(offered, _Model):
        yield from _model_cases(subject, offered)
    elif isinstance(spec, DatasetSpec):
        for check in READER_CHECKS:
            yield _made(subject, check, offered)
    elif isinstance(spec, ComponentSpec) and spec.kind in COMPONENT_CHECKS:
        labelled = spec.kind == "threshold" and "defects" in spec.tags
        yield _made(subject, check_labelled_threshold_method if labelled else COMPONENT_CHECKS[spec.kind], offered)
    elif isinstance(spec, RecipeSpec):
        yield PluginCase.of(subject, check_presets, spec)
        yield PluginCase.of(subject, check_recipe_run, spec, record.entry.distribution)


def _made(subject: str, check: Callable[[Callable[..., Any]], None], offered: _Offered) -> PluginCase:
    case = PluginCase.of(subject, check)
    return PluginCase(case.subject, case.check, case.rule, lambda: check(offered.factory))


def _model_cases(subject: str, model: _Model) -> Iterator[PluginCase]:
    yield PluginCase.of(subject, check_default_parameters, model)
    yield PluginCase.of(subject, check_spec_tells_the_truth, model)

    def asked(check: Callable[..., None], *arguments: Callable[[], Any]) -> PluginCase:
        def run() -> None:
            _ = model.sound
            check(*(argument() for argument in arguments))

        case = PluginCase.of(subject, check)
        return PluginCase(case.subject, case.check, case.rule, run)

    for check in DETECTOR_CHECKS:
        yield asked(check, lambda: model.subject)
    if isinstance(model.spec, ModelSpec) and model.spec.finetune:
        for step in FINETUNABLE_CHECKS:
            yield asked(step, lambda: model.make, lambda: model.subject.images)


def run_plugin_checks(distribution: str, *, params: Optional[Params] = None) -> Iterator[CheckResult]:
    """Check everything that an installed distribution offers, and yield what was found, one rule at a time.

    Parameters
    ----------
    distribution, params
        See :func:`plugin_cases`.
    """
    for case in plugin_cases(distribution, params=params):
        yield case.result()


def parametrize_with_plugin_checks(distribution: str, *, params: Optional[Params] = None) -> Any:
    """Return a pytest decorator that makes one case per rule of everything that an installed distribution offers.

    The test takes ``check`` and calls it; what cannot be checked here is skipped, with the reason.

    Parameters
    ----------
    distribution, params
        See :func:`plugin_cases`.

    Raises
    ------
    ValueError
        When the distribution is not installed, or offers nothing.
    """
    import pytest

    def case_of(case: PluginCase) -> Callable[[], None]:
        def check() -> None:
            found = case.result()
            if found.status == "not-checked":
                pytest.skip(f"{found.message} ({found.remedy})" if found.remedy else str(found.message))
            if found.status == "failed":
                raise AssertionError(f"{found.message}\n\nrule: {found.rule}\nhow to mend it: {found.remedy}")

        return check

    cases = list(plugin_cases(distribution, params=params))
    if not cases:
        raise ValueError(
            f"{distribution!r} offers nothing: is it installed for {sys.executable}, has it entry points, "
            "and does PYIMGANO_PLUGINS leave it out?"
        )
    ids = [f"{case.subject}-{case.check}".replace(" ", "-") for case in cases]
    return pytest.mark.parametrize("check", [case_of(case) for case in cases], ids=ids)
