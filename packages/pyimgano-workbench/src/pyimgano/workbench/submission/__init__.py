"""What a benchmark's evaluation server is sent."""

from pyimgano.workbench.submission.half import half_map
from pyimgano.workbench.submission.mvtec_ad2 import OBJECTS, SPLITS, Submission, facts_file, write_submission

__all__ = ["OBJECTS", "SPLITS", "Submission", "facts_file", "half_map", "write_submission"]
