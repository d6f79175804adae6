"""A first run config for a dataset: settings that its images support, and a file that explains every key."""

from pyimgano.workbench.starter.choose import Choice, choose_settings
from pyimgano.workbench.starter.text import FORMATS, starter_text

__all__ = ["FORMATS", "Choice", "choose_settings", "starter_text"]
