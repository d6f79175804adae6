"""Is installed, and so is what it needs, but the two do not fit."""

from json import a_name_that_json_dropped

DATASETS = (a_name_that_json_dropped,)
