"""A run on its way to the line: exported as a portable bundle, verified, and run without what trained it.

What runs a bundle imports neither torch nor the package of the models; what makes one (:mod:`.export`) may.
"""
