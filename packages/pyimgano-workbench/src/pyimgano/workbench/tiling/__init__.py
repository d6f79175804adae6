"""Images that are looked at in tiles: where the tiles lie, and how their anomaly maps become one."""

from pyimgano.workbench.tiling.merging import MapMerge
from pyimgano.workbench.tiling.plan import TileGrid, Tiling

__all__ = ["MapMerge", "TileGrid", "Tiling"]
