"""The demo: a small dataset of real photographs, and the whole loop on it."""

from pyimgano.workbench.demo.elpv import write_elpv
from pyimgano.workbench.demo.textures import TEXTURES, write_textures

__all__ = ["TEXTURES", "write_elpv", "write_textures"]
