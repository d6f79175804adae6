"""What Perlin noise and the regions cut from it are. A second at most."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.core.perlin import perlin_noise
from pyimgano.models.perlin import perlin_mask


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def by_definition(shape: tuple[int, int], periods: tuple[int, int], seed: int) -> np.ndarray:
    """Return the noise pixel by pixel, as the paper describes it."""
    angles = chance(seed).uniform(0.0, 2.0 * np.pi, (periods[0] + 1, periods[1] + 1))
    noise = np.zeros(shape)
    for i, j in np.ndindex(*shape):
        y, x = i * periods[0] / shape[0], j * periods[1] / shape[1]
        top, left = int(y), int(x)
        dots = np.empty((2, 2))
        for a, b in np.ndindex(2, 2):
            angle = angles[top + a, left + b]
            dots[a, b] = np.sin(angle) * (y - top - a) + np.cos(angle) * (x - left - b)
        s, t = (6 * f**5 - 15 * f**4 + 10 * f**3 for f in (y - top, x - left))
        between = dots[:, 0] + t * (dots[:, 1] - dots[:, 0])
        noise[i, j] = np.sqrt(2) * (between[0] + s * (between[1] - between[0]))
    return noise


SHAPES = [((32, 32), (4, 8)), ((30, 41), (4, 7)), ((9, 5), (1, 1)), ((3, 3), (4, 2))]


@pytest.mark.parametrize(("shape", "periods"), SHAPES)
def test_noise_is_the_interpolated_dot_products_for_any_shape(shape, periods) -> None:
    noise = perlin_noise(shape, periods, chance(3))
    assert (noise.shape, noise.dtype) == (shape, np.float32)
    np.testing.assert_allclose(noise, by_definition(shape, periods, 3), atol=1e-6)


def test_noise_is_zero_at_the_lattice_points_and_nowhere_else() -> None:
    noise = perlin_noise((64, 96), (4, 8), chance())
    lattice = np.zeros(noise.shape, dtype=bool)
    lattice[::16, ::12] = True
    assert np.abs(noise[lattice]).max() == 0.0
    assert np.count_nonzero(noise[~lattice]) == (~lattice).sum()


def test_noise_has_its_range_and_mean() -> None:
    noises = np.stack([perlin_noise((64, 64), (8, 8), chance(seed)) for seed in range(40)])
    assert np.abs(noises).max() <= 1.0
    assert np.abs(noises).max() > 0.9  # √2 brings the greatest possible value to 1
    assert abs(noises.mean()) < 0.005
    assert 0.25 < noises.std() < 0.4


def test_the_same_draws_give_the_same_noise_at_any_resolution_and_others_another() -> None:
    coarse, fine = perlin_noise((32, 48), (4, 4), chance()), perlin_noise((96, 96), (4, 4), chance())
    np.testing.assert_allclose(coarse, fine[::3, ::2], atol=1e-6)
    assert perlin_noise((32, 48), (4, 4), chance()).tobytes() == coarse.tobytes()
    assert np.abs(perlin_noise((32, 48), (4, 4), chance(1)) - coarse).max() > 0.1


def test_a_shape_or_period_of_nothing_is_refused() -> None:
    for shape, periods in (((0, 4), (1, 1)), ((4, 4), (1, 0))):
        with pytest.raises(ValueError, match="at least 1"):
            perlin_noise(shape, periods, chance())


def test_masks_are_where_the_noise_exceeds_the_threshold() -> None:
    for seed in range(5):
        draws = chance(seed)
        periods = tuple(2 ** int(k) for k in (draws.integers(0, 6), draws.integers(0, 6)))
        expected = perlin_noise((64, 64), periods, draws) > 0.3
        mask = perlin_mask((64, 64), chance(seed), threshold=0.3)
        assert mask.dtype == bool
        assert np.array_equal(mask, expected)


def test_masks_may_be_empty_unless_stretched() -> None:
    plain, stretched = (
        [perlin_mask((48, 32), chance(seed), exponents=(0, 1), stretch=s).mean() for seed in range(60)]
        for s in (False, True)
    )
    assert 0.0 in plain
    assert min(stretched) > 0.0
    assert [s for p, s in zip(plain, stretched) if p] == [p for p in plain if p]


def test_periods_are_the_powers_of_two_asked_for_and_leave_a_cell_two_pixels(monkeypatch) -> None:
    from pyimgano.models import perlin

    seen = set()

    def record(shape, periods, draws):
        seen.add(periods)
        return perlin_noise(shape, periods, draws)

    monkeypatch.setattr(perlin, "perlin_noise", record)
    draws = chance()
    for _ in range(300):
        perlin_mask((64, 10), draws, exponents=(1, 5))
    assert {rows for rows, _ in seen} == {2, 4, 8, 16, 32}
    assert {columns for _, columns in seen} == {2, 4}
    assert perlin_mask((1, 3), draws).shape == (1, 3)


def test_turned_masks_are_the_noise_turned_about_its_centre_with_zeros_from_outside() -> None:
    from scipy.ndimage import rotate

    angles = []
    for seed in range(10):
        draws = chance(seed)
        draws.integers(2, 3), draws.integers(2, 3)
        noise = perlin_noise((65, 65), (4, 4), draws)
        angles.append(draws.uniform(-90.0, 90.0))
        expected = rotate(noise, angles[-1], reshape=False, order=1, cval=0.0) > 0.25
        mask = perlin_mask((65, 65), chance(seed), exponents=(2, 2), threshold=0.25, rotation=90.0)
        assert np.mean(mask != expected) < 0.01
        assert np.mean(mask != (noise > 0.25)) > 0.02
    assert max(np.abs(angles)) > 45.0
