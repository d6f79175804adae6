"""The parameter ``input_size`` of all models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from pyimgano.core.parameters import require

__all__ = ["check_size"]


def check_size(input_size: Union[int, Sequence[int]], *, minimum: int) -> tuple[int, int]:
    """Return ``input_size``, a side or (height, width), as (height, width).

    Raises
    ------
    ParameterError
        When it is neither, or a side is below ``minimum``.
    """
    sides = tuple(input_size) if isinstance(input_size, Sequence) else (input_size, input_size)
    valid = len(sides) == 2 and all(isinstance(s, int) and not isinstance(s, bool) and s >= minimum for s in sides)
    require(valid, "input_size", input_size, f"a side, or [height, width], in pixels, at least {minimum}")
    return int(sides[0]), int(sides[1])
