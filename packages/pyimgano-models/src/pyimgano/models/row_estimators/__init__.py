"""Estimators of rows: fitted with scikit-learn, kept as arrays, scored by NumPy alone.

What scikit-learn learned is taken out of its public attributes, so that a detector is saved without pickle and scores
the same under every release of it; tests hold the scores to scikit-learn's own.
"""
