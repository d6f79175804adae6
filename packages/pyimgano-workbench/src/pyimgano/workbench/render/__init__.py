"""Pictures of what was found: maps, masks and overlays, at the size of the source image."""

from pyimgano.workbench.render.contact_sheet import contact_sheet
from pyimgano.workbench.render.maps import MAP_SUFFIX, map_at, read_map, write_map
from pyimgano.workbench.render.overlay import MapScale, draw_outline, overlay
from pyimgano.workbench.render.pictures import PictureWriter

__all__ = [
    "MAP_SUFFIX",
    "MapScale",
    "PictureWriter",
    "contact_sheet",
    "draw_outline",
    "map_at",
    "overlay",
    "read_map",
    "write_map",
]
