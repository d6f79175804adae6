"""What comes with the workbench keeps the contracts that plugins are asked to keep. Takes 4 s."""

from __future__ import annotations

import pytest

from pyimgano.core.testing import plugin_cases

SLOW = "component threshold/pythresh"  # importing PyThresh takes longer than everything else
PARAMS = {  # what has no defaults
    "threshold/cost-ratio": {"escape_cost": 20.0, "defect_rate": 0.01},
}
CASES = [
    case
    for case in plugin_cases("pyimgano-workbench", params=PARAMS)
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
        "component sink/tensorboard",
        "component threshold/conformal",
        "component threshold/cost-ratio",
    ],
)
def test_there_is_something_of_each_kind(subject):
    assert subject in {case.subject for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=[f"{case.subject}-{case.check}".replace(" ", "-") for case in CASES])
def test_contract(case):
    result = case.result()
    if (case.subject, case.check) == ("component defects/defect-bank", "check_defect"):  # see test_defect_kinds
        assert (result.status, result.message) == ("not-checked", "it cannot be made without folder")
        return
    assert result.status == "ok", f"{result.message} ({result.remedy})"
