"""The contract kit: prove in one line that a detector, a recipe or a whole plugin keeps the contract.

Without pytest::

    from pyimgano.core.testing import check_detector
    check_detector(lambda: MyDetector(seed=0))

With pytest, one case per model and rule::

    from pyimgano.core.testing import parametrize_with_checks

    @parametrize_with_checks({"my-detector": lambda: MyDetector(seed=0)})
    def test_contract(check):
        check()

With pytest, everything that an installed distribution offers::

    from pyimgano.core.testing import parametrize_with_plugin_checks

    @parametrize_with_plugin_checks("my-distribution")
    def test_contract(check):
        check()

``pyimgano plugins check my-distribution`` runs the same. It needs ``pip install "pyimgano-core[testing]"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Callable, Optional

from pyimgano.core.testing._component_checks import COMPONENT_CHECKS, check_component
from pyimgano.core.testing._detector_checks import DETECTOR_CHECKS, Subject, detector_checks
from pyimgano.core.testing._finetunable_checks import FINETUNABLE_CHECKS, finetunable_checks
from pyimgano.core.testing._images import CheckImages, make_check_images
from pyimgano.core.testing._plugin_cases import parametrize_with_plugin_checks, plugin_cases, run_plugin_checks
from pyimgano.core.testing._plugin_checks import HEAVY_MODULES, check_plugin
from pyimgano.core.testing._reader_checks import READER_CHECKS, check_dataset_reader
from pyimgano.core.testing._recipe_checks import check_recipe, check_run_directory
from pyimgano.core.testing._results import CheckResult, PluginCase

__all__ = [
    "COMPONENT_CHECKS",
    "DETECTOR_CHECKS",
    "FINETUNABLE_CHECKS",
    "HEAVY_MODULES",
    "READER_CHECKS",
    "CheckImages",
    "CheckResult",
    "PluginCase",
    "Subject",
    "check_component",
    "check_dataset_reader",
    "check_detector",
    "check_finetunable",
    "check_plugin",
    "check_recipe",
    "check_run_directory",
    "detector_checks",
    "finetunable_checks",
    "make_check_images",
    "parametrize_with_checks",
    "parametrize_with_plugin_checks",
    "plugin_cases",
    "run_plugin_checks",
]


def check_detector(
    factory: Callable[[], Any],
    *,
    images: Optional[CheckImages] = None,
    batch_tolerance: float = 1e-5,
    uses_labels: bool = False,
    expected_failures: Optional[Mapping[str, str]] = None,
) -> None:
    """Check a detector against every rule of the contract.

    Parameters
    ----------
    factory : callable
        Returns a new, unfitted detector.
    images : CheckImages, optional
        Images for detectors that cannot take the generated ones.
    batch_tolerance : float
        Relative difference that a score may show between batches; 0.0 asks for the same bits.
    uses_labels : bool
        The detector learns from defective images as well.
    expected_failures : mapping of str to str, optional
        Name of a check → why it fails. One that passes all the same is reported too.

    Raises
    ------
    AssertionError
        With every rule that is broken, and how.
    """
    subject = Subject(factory, images=images, batch_tolerance=batch_tolerance, uses_labels=uses_labels)
    _verdict([(name, partial(check, subject)) for name, check in detector_checks()], expected_failures)


def check_finetunable(
    factory: Callable[[], Any],
    *,
    images: Optional[CheckImages] = None,
    expected_failures: Optional[Mapping[str, str]] = None,
) -> None:
    """Check a model that is trained step by step against every rule of :class:`~pyimgano.core.contracts.Finetunable`.

    Parameters
    ----------
    factory : callable
        Returns a new, untrained model; always with the same parameters, the seed among them.
    images : CheckImages, optional
        Images for models that cannot take the generated ones.
    expected_failures : mapping of str to str, optional
        Name of a check → why it fails. One that passes all the same is reported too.

    Raises
    ------
    AssertionError
        With every rule that is broken, and how.
    """
    given = images or make_check_images()
    checks = [(name, partial(check, factory, given)) for name, check in finetunable_checks()]
    _verdict(checks, expected_failures)


def _verdict(
    checks: Sequence[tuple[str, Callable[[], None]]], expected_failures: Optional[Mapping[str, str]] = None
) -> None:
    expected, broken = dict(expected_failures or {}), []
    unknown = sorted(set(expected) - {name for name, _ in checks})
    if unknown:
        raise ValueError(f"expected_failures names no check: {unknown}")
    for name, check in checks:
        try:
            check()
        except Exception as error:  # a stranger's detector may raise anything; each rule gets its verdict
            if name not in expected:
                kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
                broken.append(f"{name}: {kind}{error}")
        else:
            if name in expected:
                broken.append(f"{name} was expected to fail ({expected[name]}) and passes: remove it from the list")
    if broken:
        raise AssertionError("\n".join(broken))


def parametrize_with_checks(
    factories: Mapping[str, Callable[[], Any]],
    *,
    expected_failures: Optional[Mapping[str, Mapping[str, str]]] = None,
    **subject: Any,
) -> Any:
    """Return a pytest decorator that makes one case per model and rule; the test takes ``check`` and calls it.

    Parameters
    ----------
    factories : mapping of str to callable
        Name (shown in the case's id) → factory of unfitted detectors.
    expected_failures : mapping, optional
        Name → check → why it fails; such a case is a strict ``xfail``.
    **subject
        Keyword arguments of :class:`Subject`, e.g. ``batch_tolerance=0.0``.
    """
    import pytest

    cases = []
    for model, factory in factories.items():
        shared = Subject(factory, **subject)
        reasons = (expected_failures or {}).get(model, {})
        for name, check in detector_checks():
            marks = [pytest.mark.xfail(reason=reasons[name], strict=True)] if name in reasons else []
            cases.append(pytest.param(partial(check, shared), id=f"{model}-{name}", marks=marks))
    return pytest.mark.parametrize("check", cases)
