"""The workbench: run configs, stages, run directories, calibration, evaluation, inference, benchmarks, commands.

Listings come by here for :mod:`pyimgano.workbench.specs`, so nothing is imported.
"""
