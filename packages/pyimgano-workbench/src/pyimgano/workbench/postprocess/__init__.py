"""From a model's raw score and map to those that are judged: rules on maps, region of interest, image score.

A listing loads this package for its ``specs``, so that nothing is imported here.
"""
