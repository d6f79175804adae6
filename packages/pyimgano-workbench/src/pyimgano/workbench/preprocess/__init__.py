"""What is done to every source image before a model sees it: light evened out, parts brought to one place.

The components are in modules by idea; :mod:`pyimgano.workbench.pipeline` applies them in fit, calibration, test and
inference alike. A listing comes by here for the specs and imports nothing else.
"""
