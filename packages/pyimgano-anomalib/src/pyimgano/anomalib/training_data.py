"""The images of a fit, as anomalib's ``Engine`` takes them: good ones only, and nothing of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset

from anomalib.data import ImageBatch
from pyimgano.anomalib.preparation import Preparation
from pyimgano.core.batching import ImageBatches, source_name

__all__ = ["FitImages"]


class _Chosen(Sequence[Any]):
    """Some items of a sequence of images, in an order of their own; decoded when asked for."""

    def __init__(self, images: Sequence[Any], order: Sequence[int]) -> None:
        self._images = images
        self._order = list(order)
        self.sources = [source_name(images, index) for index in self._order]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        return self._images[self._order[index]]


class _Images(Dataset):
    def __init__(self, images: Sequence[Any], order: Sequence[int], preparation: Preparation) -> None:
        self.images = images
        self.order = list(order)
        self.preparation = preparation

    def __len__(self) -> int:
        return len(self.order)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[str, torch.Tensor]]:
        """Read a batch at once, so that its images are decoded by several threads and an unreadable one is named."""
        chosen = _Chosen(self.images, [self.order[index] for index in indices])
        read = ImageBatches(chosen, len(chosen)).images()
        resize, tensor = self.preparation.resize, self.preparation.tensor
        return [(name, resize(tensor(image))[0]) for name, image in zip(chosen.sources, read)]


def _collate(items: Sequence[tuple[str, torch.Tensor]]) -> ImageBatch:
    names, images = zip(*items)
    pixels = torch.stack(images)
    return ImageBatch(
        image=pixels,
        gt_label=torch.zeros(len(items), dtype=torch.long),
        gt_mask=torch.zeros(len(items), *pixels.shape[-2:], dtype=torch.bool),
        image_path=list(names),
    )


class FitImages(pl.LightningDataModule):
    """A data module of good images.

    Parameters
    ----------
    images : sequence
        What the detector was given to fit on.
    train, held_out : sequence of int
        Which of them are trained on, and which the model's validation sees.
    preparation : Preparation
        Of the model.
    batch_size : int
        Images per step.
    seed : int
        Decides the order of each epoch.
    """

    name = "pyimgano"
    category = "object"  # what models that describe the object in words call it when nobody told them

    def __init__(
        self,
        images: Sequence[Any],
        train: Sequence[int],
        held_out: Sequence[int],
        preparation: Preparation,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.train_data = _Images(images, train, preparation)
        self.val_data = _Images(images, held_out, preparation)
        self.train_batch_size = batch_size
        self.eval_batch_size = batch_size
        self._seed = seed

    def train_dataloader(self) -> DataLoader:
        """Return a loader that shuffles anew each epoch; asking for another one shifts no order."""
        order = torch.Generator()
        order.manual_seed(self._seed)
        return DataLoader(
            self.train_data, batch_size=self.train_batch_size, shuffle=True, generator=order, collate_fn=_collate
        )

    def val_dataloader(self) -> DataLoader:
        """Return a loader of the held-out images."""
        return DataLoader(self.val_data, batch_size=self.eval_batch_size, collate_fn=_collate)
