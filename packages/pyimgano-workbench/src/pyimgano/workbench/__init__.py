"""The workbench: run configs, recipes' stages, run directories, calibration, evaluation, inference, benchmarks, commands.

Listings come by here for :mod:`pyimgano.workbench.specs`, so nothing is imported.
"""
