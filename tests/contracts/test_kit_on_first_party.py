"""The readers and components that come with the workbench keep the contracts that plugins are asked to keep. Takes 4 s."""

from __future__ import annotations

import pytest

from pyimgano.core.testing import plugin_cases

CASES = [
    case
    for case in plugin_cases("pyimgano-workbench")
    if case.subject.startswith(("dataset ", "component ", "pyimgano.")) and case.subject != "component threshold/pythresh"
]  # importing PyThresh takes longer than all of them


def test_there_is_something_of_each_kind():
    subjects = {case.subject for case in CASES}
    for one in ("dataset mvtec", "component augment/gamma", "component preprocess/align", "component postprocess/smooth",
                "component threshold/conformal", "component defects/crack"):  # fmt: skip
        assert one in subjects


@pytest.mark.parametrize("case", CASES, ids=[f"{case.subject}-{case.check}".replace(" ", "-") for case in CASES])
def test_contract(case):
    result = case.result()
    assert result.status == "ok", f"{result.message} ({result.remedy})"
