"""What training is measured by: good images that it does not see, and synthetic defects on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.images import ImageSequence
from pyimgano.core.seeding import generator
from pyimgano.workbench.defects.placing import Kind
from pyimgano.workbench.evaluate.images import auroc_metric
from pyimgano.workbench.scoring import score_stream
from pyimgano.workbench.train.synthetic import add_defect

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Measurement", "ValidationImages"]


@dataclass(frozen=True)
class Measurement:
    """How well a state of a model tells the held-out good images from those with synthetic defects.

    Attributes
    ----------
    auroc : float
        Of the image scores.
    separation : float
        Difference of the two means over the standard deviation of the good scores: what is left to tell states apart by
        where the AUROC is the same.
    """

    auroc: float
    separation: float

    def better_than(self, other: Optional[Measurement]) -> bool:
        """Tell whether this is an improvement: by AUROC, and where that is the same, by separation."""
        return other is None or (self.auroc, self.separation) > (other.auroc, other.separation)

    def to_json(self) -> dict[str, float]:
        """Return it as a JSON-friendly mapping."""
        return {"auroc": self.auroc, "separation": self.separation}


class ValidationImages:
    """Good images and the defective ones that are made of them, anew and alike each time they are asked for.

    Parameters
    ----------
    good : sequence of Sample
        Held-out good images, at least one.
    n_defects : int
        Defective images to make, at least; a whole number of each good one.
    seed : int
        Of the defects.
    prepare : callable, optional
        Brings an image to the size that the model works at.
    value_range : (float, float), optional
        See :func:`pyimgano.core.images.to_rgb8`.
    kinds : sequence of Kind, optional
        Of the defects, see :func:`pyimgano.workbench.train.synthetic.add_defect`.
    """

    def __init__(
        self,
        good: Sequence[Sample],
        n_defects: int,
        *,
        seed: int,
        prepare: Optional[Callable[[np.ndarray], np.ndarray]] = None,
        value_range: Optional[tuple[float, float]] = None,
        kinds: Optional[Sequence[Kind]] = None,
    ) -> None:
        self.good = tuple(good)
        self.rounds = -(-n_defects // len(self.good))
        self._seed = seed
        self._prepare = prepare
        self._value_range = value_range
        self._kinds = kinds

    @property
    def good_images(self) -> ImageSequence:
        """The good images alone, decoded when asked for."""
        return ImageSequence([sample.source for sample in self.good], value_range=self._value_range)

    @property
    def n_defective(self) -> int:
        """Number of images with a synthetic defect."""
        return self.rounds * len(self.good)

    def __len__(self) -> int:
        """Return the number of images: the good ones, then the defective ones."""
        return len(self.good) + self.n_defective

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        round_, place = divmod(index, len(self.good))
        image = self._read(place)
        if self._prepare is not None:
            image = self._prepare(image)
        if round_ == 0:
            return image
        chance = generator(self._seed, "validation", "defects", self.good[place].id, round_)
        donor = int(chance.integers(len(self.good)))
        return add_defect(image, chance, donor=lambda: self._read(donor), kinds=self._kinds)[0]

    def _read(self, place: int) -> Any:
        from pyimgano.datasets import load_image

        return load_image(self.good[place], value_range=self._value_range)

    def measure(self, detector: Any, *, batch_size: Optional[int], advance: Callable[[int], None]) -> Measurement:
        """Score all images and return the measurement.

        Raises
        ------
        ImageError
            When an image cannot be read.
        PyimganoError
            When a score is not finite.
        """
        import numpy as np

        scores = []
        for scored in score_stream(detector, self, batch_size=batch_size, maps=False, on_error="raise"):  # type: ignore[arg-type]
            scores.append(scored.score)
            advance(1)
        values = np.asarray(scores, dtype=np.float64)
        good, defective = values[: len(self.good)], values[len(self.good) :]
        auroc = auroc_metric(defective, good).value
        assert auroc is not None
        spread = max(float(good.std()), 1e-9 * float(np.abs(values).max()), 1e-300)
        return Measurement(auroc, float(defective.mean() - good.mean()) / spread)
