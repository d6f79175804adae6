"""Inference: any number of images in, one record each out, with the scores that the run itself would give."""

from pyimgano.workbench.inference.fitted import FittedCategory, RunModels
from pyimgano.workbench.inference.models import FittedModels
from pyimgano.workbench.inference.sinks import Destination, parse_destination
from pyimgano.workbench.inference.sources import InputList, Source
from pyimgano.workbench.inference.stream import Summary, predict_stream, write_predictions
from pyimgano.workbench.records import FORMATS, RecordWriter

__all__ = [
    "FORMATS",
    "Destination",
    "FittedCategory",
    "FittedModels",
    "InputList",
    "RecordWriter",
    "RunModels",
    "Source",
    "Summary",
    "parse_destination",
    "predict_stream",
    "write_predictions",
]
