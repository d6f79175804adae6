"""What comes with the workbench keeps the contracts that plugins are asked to keep. Takes 4 s."""

from __future__ import annotations

import pytest

from pyimgano.core.testing import plugin_cases

SLOW = "component threshold/pythresh"  # importing PyThresh takes longer than everything else
CASES = [
    case
    for case in plugin_cases("pyimgano-workbench")
    if case.subject.startswith(("dataset ", "component ", "pyimgano.")) and case.subject != SLOW
]


@pytest.mark.parametrize(
    "subject",
    [
        "dataset mvtec",
        "component augment/gamma",
        "component defects/crack",
        "component postprocess/smooth",
        "component preprocess/align",
        "component threshold/conformal",
    ],
)
def test_there_is_something_of_each_kind(subject):
    assert subject in {case.subject for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=[f"{case.subject}-{case.check}".replace(" ", "-") for case in CASES])
def test_contract(case):
    result = case.result()
    assert result.status == "ok", f"{result.message} ({result.remedy})"
