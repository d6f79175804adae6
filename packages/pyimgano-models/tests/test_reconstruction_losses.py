"""Structural similarity and the focal loss, against their equations and other implementations. Two seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity as scikit_images

from pyimgano.models.focal_loss import focal_loss
from pyimgano.models.ssim import structural_similarity


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_similarity_is_scikit_images_inside_the_border(photographs) -> None:
    photo = photographs["chelsea"][:96, 100:180] / 255.0
    other = np.clip(photo + np.random.default_rng(0).normal(0.0, 0.1, photo.shape), 0.0, 1.0)
    _, expected = scikit_images(
        photo,
        other,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    x, y = (torch.from_numpy(a).permute(2, 0, 1)[None] for a in (photo, other))
    ours = structural_similarity(x, y)[0].permute(1, 2, 0).numpy()
    assert 0.2 < ours.mean() < 0.9
    np.testing.assert_allclose(ours[5:-5, 5:-5], expected[5:-5, 5:-5], atol=1e-5)


def test_at_the_border_images_are_mirrored_about_their_outermost_pixels() -> None:
    x, y = images(1, 3, 20, 31), images(1, 3, 20, 31, seed=1)
    padded = (torch.nn.functional.pad(z, (8, 8, 8, 8), mode="reflect") for z in (x, y))
    expected = structural_similarity(*padded)[..., 8:-8, 8:-8]
    torch.testing.assert_close(structural_similarity(x, y), expected, atol=1e-5, rtol=0.0)


def test_similarity_is_one_for_the_same_symmetric_and_falls_with_noise() -> None:
    x, noise = images(2, 3, 32, 32), images(2, 3, 32, 32, seed=1) - 0.5
    torch.testing.assert_close(structural_similarity(x, x), torch.ones_like(x))
    near, far = (structural_similarity(x, x + scale * noise) for scale in (0.1, 1.0))
    assert far.mean() < near.mean() < 1.0
    torch.testing.assert_close(far, structural_similarity(x + noise, x))
    with pytest.raises(ValueError, match="images of 5 pixels"):
        structural_similarity(x[..., :5], x[..., :5])


def test_similaritys_gradient_is_that_of_differences() -> None:
    x, y = images(1, 2, 7, 9).double(), images(1, 2, 7, 9, seed=1).double()
    assert torch.autograd.gradcheck(lambda a: structural_similarity(a, y), x.requires_grad_())


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_focal_loss_is_that_of_a_softmaxs_two_probabilities(gamma) -> None:
    logits, positive = 8.0 * images(3, 2, 5, 5) - 4.0, images(3, 5, 5, seed=1) > 0.7
    p = logits.softmax(dim=1).gather(1, positive[:, None].long())[:, 0]
    expected = -((1 - p) ** gamma) * p.log()
    torch.testing.assert_close(focal_loss(logits[:, 1] - logits[:, 0], positive, gamma=gamma), expected)
    if gamma == 0.0:
        entropy = torch.nn.functional.cross_entropy(logits, positive.long(), reduction="none")
        torch.testing.assert_close(expected, entropy)


def test_the_focal_loss_and_its_gradient_are_finite_however_sure_the_logits_are() -> None:
    logits = torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4]).repeat(2, 1).requires_grad_()
    loss = focal_loss(logits, torch.tensor([[True], [False]]).expand(2, 5))
    loss.sum().backward()
    assert bool(loss.isfinite().all())
    assert bool(logits.grad.isfinite().all())
    assert loss[0].tolist() == loss[1].flip(0).tolist()
    assert loss[0, 0] == 1e4
