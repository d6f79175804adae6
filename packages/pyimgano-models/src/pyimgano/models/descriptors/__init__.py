"""Features of images without deep learning: one descriptor a module, numpy and OpenCV alone.

All are components of the kind ``features`` (``pyimgano components list``); :mod:`pyimgano.models.image_features` joins
them, and :mod:`pyimgano.models.embedding` puts deep features beside them.
"""
