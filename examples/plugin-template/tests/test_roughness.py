from __future__ import annotations

import numpy as np
import pytest
from pyimgano.core.errors import ParameterError

from plugin_template.roughness import Roughness


def test_map_rises_where_a_rough_surface_was_polished():
    rng = np.random.default_rng(0)
    rough = rng.integers(60, 200, (9, 64, 64, 3), dtype=np.uint8)
    model = Roughness(size=64, cell=8).fit(list(rough[:8]))
    polished = rough[8].copy()
    polished[16:32, 24:40] = 130
    (found,) = model.predict_anomaly_map([polished])
    spot = np.zeros((8, 8), dtype=bool)
    spot[2:4, 3:5] = True
    assert found[spot].min() > found[~spot].max()


def test_cells_that_do_not_fill_the_image_are_refused():
    with pytest.raises(ParameterError, match="a divisor of size"):
        Roughness(size=64, cell=7).fit([np.zeros((64, 64, 3), dtype=np.uint8)])
