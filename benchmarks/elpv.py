"""The development benchmark's real images: ELPV mono cells, split by seed.

The images come with the distribution ``elpv-dataset`` (CC BY-NC-SA 4.0: for tests and benchmarks only).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

N_TRAIN = 200
N_TEST_GOOD = 100
N_TEST_DEFECT = 100


@dataclass(frozen=True)
class Split:
    """One seed's split.

    Attributes
    ----------
    train : list of Path
        Good images to fit on.
    test_good, test_defect : list of Path
        Good and defective images to test on; no good one is in `train`.
    """

    train: list[Path]
    test_good: list[Path]
    test_defect: list[Path]

    @property
    def test(self) -> list[Path]:
        """All test images, the good ones first."""
        return [*self.test_good, *self.test_defect]

    @property
    def labels(self) -> list[int]:
        """Labels in the order of `test`: 0 for good, 1 for defective."""
        return [0] * len(self.test_good) + [1] * len(self.test_defect)

    def head(self, n_train: int, n_test: int) -> Split:
        """Return the same split cut to its first images.

        Parameters
        ----------
        n_train : int
            Number of training images to keep.
        n_test : int
            Number of test images to keep of each kind.

        Returns
        -------
        Split
            The shorter split.
        """
        return Split(self.train[:n_train], self.test_good[:n_test], self.test_defect[:n_test])


def data_dir() -> Path:
    """Return the folder that holds ``labels.csv`` and ``images/``, without importing the package.

    Returns
    -------
    Path
        The data folder of the installed ``elpv-dataset``.

    Raises
    ------
    ModuleNotFoundError
        If ``elpv-dataset`` is not installed.
    """
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("elpv-dataset is not installed: python -m pip install elpv-dataset")
    return Path(spec.origin).parent / "data"


def mono_split(seed: int) -> Split:
    """Split ELPV's mono cells: 200 good for training, 100 good and 100 defective for test.

    The rule, which the project's tests share: of the mono cells, those with defect probability 0.0 are good and
    those with 1.0 are defective (1/3 and 2/3 are left out). Their paths as written in ``labels.csv`` are sorted.
    One ``numpy.random.default_rng(seed)`` permutes first the good ones, whose first 200 are for training and
    whose next 100 are for test, and then the defective ones, whose first 100 are for test. Nothing is written.

    Parameters
    ----------
    seed : int
        The split's seed.

    Returns
    -------
    Split
        Absolute paths, in the order of the draw.
    """
    import numpy as np

    root = data_dir()
    good, defect = [], []
    for line in (root / "labels.csv").read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        path, probability, kind = line.split()
        if kind != "mono":
            continue
        if float(probability) == 0.0:
            good.append(path)
        elif float(probability) == 1.0:
            defect.append(path)
    good.sort()
    defect.sort()
    rng = np.random.default_rng(seed)
    good = [good[i] for i in rng.permutation(len(good))]
    defect = [defect[i] for i in rng.permutation(len(defect))]
    return Split(
        train=[root / p for p in good[:N_TRAIN]],
        test_good=[root / p for p in good[N_TRAIN : N_TRAIN + N_TEST_GOOD]],
        test_defect=[root / p for p in defect[:N_TEST_DEFECT]],
    )
