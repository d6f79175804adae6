"""Micro-finetuning: short training of a :class:`~pyimgano.core.contracts.Finetunable` model on the user's own images.

One process, one device. What is measured while it trains are good images that were held out from it and synthetic
defects on them; test images never.
"""

from pyimgano.workbench.train.runner import TrainingOutcome, train_detector
from pyimgano.workbench.train.settings import TrainSettings

__all__ = ["TrainSettings", "TrainingOutcome", "train_detector"]
