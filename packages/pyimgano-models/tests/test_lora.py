"""Low-rank updates: they start as nothing, change what they may, and are merged into what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pyimgano.core.errors import ParameterError
from pyimgano.models.cflow import CFlow
from pyimgano.models.fastflow import FastFlow
from pyimgano.models.lora import inject_lora, merged_state
from pyimgano.models.patchcore import PatchCore
from pyimgano.models.reverse_distillation import ReverseDistillation
from pyimgano.models.stfpm import STFPM

SMALL = {"backbone": "efficientnet-lite0", "input_size": 64, "epochs": 1, "batch_size": 4, "device": "cpu"}
MAKERS = {
    "stfpm": lambda: STFPM(**SMALL),
    "reverse-distillation": lambda: ReverseDistillation(**SMALL),
    "fastflow": lambda: FastFlow(**SMALL, flow_steps=2),
    "cflow": lambda: CFlow(**SMALL, coupling_blocks=2, fibres=32),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), depthwise, nn.Flatten(), nn.Linear(96, 4))


def test_updates_begin_as_nothing_and_change_the_output_when_they_learn() -> None:
    made, x = network(), torch.randn(2, 3, 4, 4)
    before = made(x)
    updates = inject_lora(made, 2)
    assert torch.equal(made(x), before)
    assert sum(parameter.numel() for parameter in updates) == 2 * (3 * 9 + 6) + 2 * (96 + 4)
    optimizer = torch.optim.SGD(updates, lr=0.1)
    for _ in range(2):  # the first step moves B only, which begins at zero
        optimizer.zero_grad()
        made(x).square().sum().backward()
        optimizer.step()
    assert not torch.allclose(made(x), before)


def test_merged_weights_compute_the_same_under_the_old_names() -> None:
    made, plain, x = network(), network(), torch.randn(2, 3, 4, 4)
    names = list(plain.state_dict())
    for parameter in inject_lora(made, 2):
        nn.init.normal_(parameter, 0.0, 0.1)
    state = merged_state(made)
    assert list(state) == names
    plain.load_state_dict(state)
    torch.testing.assert_close(plain(x), made(x), rtol=1e-5, atol=1e-5)
    assert merged_state(plain).keys() == plain.state_dict().keys()


def test_a_second_call_keeps_the_updates_and_another_rank_is_refused() -> None:
    made = network()
    first = inject_lora(made, 2)
    assert [id(parameter) for parameter in inject_lora(made, 2)] == [id(parameter) for parameter in first]
    with pytest.raises(ParameterError, match="updates of rank 2"):
        inject_lora(made, 4)
    with pytest.raises(ParameterError, match="no layer that low-rank updates fit"):
        inject_lora(nn.Sequential(nn.ReLU()), 2)


@pytest.mark.parametrize("name", MAKERS)
def test_a_fitted_model_goes_on_by_updates_and_is_saved_merged(name: str, photographs: Any, tmp_path: Path) -> None:
    wall = photographs["brick"]
    images = [np.ascontiguousarray(wall[top : top + 64, :64]) for top in range(0, 384, 64)]
    detector = MAKERS[name]().fit(images[:4])
    before = detector.decision_function(images)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    updates = detector.trainable("lora", rank=2)
    assert torch.equal(torch.get_rng_state(), state)
    detector.finish_training(images[:4])
    np.testing.assert_array_equal(detector.decision_function(images), before)
    optimizer = torch.optim.SGD(updates, lr=0.05)
    for _ in range(2):
        optimizer.zero_grad()
        detector.training_step(images[:4]).backward()
        optimizer.step()
    detector.finish_training(images[:4])
    after = detector.decision_function(images)
    assert not np.array_equal(after, before)
    detector.save(tmp_path)
    loaded = type(detector).load(tmp_path)
    np.testing.assert_allclose(loaded.decision_function(images), after, rtol=1e-3, atol=1e-5)


def test_patchcores_backbone_is_updated_and_its_memory_filled_anew(photographs: Any, tmp_path: Path) -> None:
    wall = photographs["brick"]
    images = [np.ascontiguousarray(wall[top : top + 64, :64]) for top in range(0, 384, 64)]
    mask = np.zeros((64, 64), dtype=bool)
    mask[10:30, 20:40] = True
    detector = PatchCore(input_size=64, coreset_sampling_ratio=0.2, device="cpu", batch_size=4)
    updates = detector.trainable("lora", rank=2)
    detector.begin_training(images[:4])
    optimizer = torch.optim.AdamW(updates, lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        detector.training_step(images[:4], [None, mask, None, mask]).backward()
        optimizer.step()
    detector.finish_training(images[:4])
    plain = PatchCore(input_size=64, coreset_sampling_ratio=0.2, device="cpu", batch_size=4).fit(images[:4])
    assert not np.array_equal(detector.memory_bank_, plain.memory_bank_)
    detector.save(tmp_path)
    scores = PatchCore.load(tmp_path).decision_function(images)
    np.testing.assert_array_equal(scores, detector.decision_function(images))
