"""A hot folder: images that appear in it are inspected, recorded and moved, each exactly once."""

from pyimgano.workbench.watch.hot_folder import HotFolder, WatchSettings
from pyimgano.workbench.watch.webhook import Webhook

__all__ = ["HotFolder", "WatchSettings", "Webhook"]
