"""Industrial drift: what changes on a line although the parts are good, each kind in five severities.

The kinds are in modules by idea: ``light``, ``illumination``, ``optics``, ``sensor``, ``geometry`` and ``surface``;
what applies them by lot is in ``random_drifts``. A listing comes by here for the specs and imports nothing else.
"""

from pyimgano.workbench.augment.augmentation import SEVERITIES, Augmentation, Drift

__all__ = ["SEVERITIES", "Augmentation", "Drift"]
