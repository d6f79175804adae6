from __future__ import annotations

import numpy as np
import pytest
from pyimgano.core.errors import ParameterError

from plugin_template.highlights import Highlights


def test_a_reflection_is_cut_off_and_the_rest_stays():
    image = np.full((20, 20, 3), 80, dtype=np.uint8)
    image[:2, :2] = 255
    changed, moved = Highlights(percentile=95)(image)
    assert moved is None
    assert (changed == 80).all()


def test_a_percentile_that_would_cut_off_the_part_is_refused():
    with pytest.raises(ParameterError, match="50 to 100"):
        Highlights(percentile=20)
