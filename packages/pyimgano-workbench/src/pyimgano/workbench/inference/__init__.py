"""Inference: any number of images in, one record each out, with the scores that the run itself would give."""

from pyimgano.workbench.inference.fitted import FittedCategory, RunModels
from pyimgano.workbench.inference.sinks import FORMATS, Destination, RecordWriter, parse_destination
from pyimgano.workbench.inference.sources import InputList, Source
from pyimgano.workbench.inference.stream import Summary, predict_stream, write_predictions

__all__ = [
    "FORMATS",
    "Destination",
    "FittedCategory",
    "InputList",
    "RecordWriter",
    "RunModels",
    "Source",
    "Summary",
    "parse_destination",
    "predict_stream",
    "write_predictions",
]
