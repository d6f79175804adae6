"""WinCLIP: an image and its windows against words for good and defective parts, and against good images' windows."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.core.seeding import generator
from pyimgano.openclip.clip_detector import ClipDetector

if TYPE_CHECKING:
    from torch import Tensor

    from pyimgano.core.batching import ImageBatches
    from pyimgano.openclip.clip_model import ClipModel

__all__ = ["WinClip"]

PATCHES = "patches"


class WinClip(ClipDetector):
    r"""WinCLIP and WinCLIP+ (Jeong et al., CVPR 2023, arXiv 2303.14814).

    **Words.** Seven states of good parts and four of defective ones, each in 21 templates; the mean of each group's
    embeddings stands for it (the compositional prompt ensemble, :mod:`pyimgano.openclip.prompts`). What resembles the
    defective group scores

    .. math:: p(x) = \frac{e^{\langle f(x), g_- \rangle / \tau}}
              {e^{\langle f(x), g_+ \rangle / \tau} + e^{\langle f(x), g_- \rangle / \tau}} \quad (1)

    with the cosine similarity :math:`\langle\cdot,\cdot\rangle`. The image's own :math:`p` is its zero-shot score.

    **Windows.** The transformer sees the patches of every 2 × 2 and every 3 × 3 window, and no others. A patch has the
    harmonic mean of the windows that cover it (3), and the map the harmonic mean of both scales and the image's own
    score.

    **References.** With good images, each patch and window is compared with all of theirs,
    :math:`M = \min_{r} \tfrac12 (1 - \langle F, r \rangle)` (4); windows are brought to patches as above, and the mean
    over patches and both scales is taken (5). Then the map is the mean of it and the zero-shot map, and the score

    .. math:: \tfrac12 \left( p(x) + \max_{ij} M_{ij} \right) \quad (6)

    Parameters
    ----------
    backbone : str
        ``openclip/<model>[:<pretrained tag>]``, a plain transformer. The default is the paper's; its weights are looked
        for on this machine, and the error says how to get them.
    class_name : str
        What the images show, in words: ``"solar cell"``. The default says nothing of it.
    shots : int, optional
        How many good images are kept as references, drawn by ``seed`` where ``fit`` is given more; 0 for zero-shot.
        Default: all. Time and memory grow with them.
    scales : sequence of int
        Sides of the windows, in patches.
    input_size : int or (int, int), optional
        Side, or (height, width), of the images that the model sees, and of the maps: multiples of the side of its
        patches. Default: the model's own (240).
    temperature : float
        :math:`\tau`.
    weights, device : str
        ``"default"``, a tag, a file, ``"random"``; ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:<n>"``.
    batch_size : int
        Images in memory at once; changes no score.
    seed : int
        See ``shots``.

    Attributes
    ----------
    references_ : dict of str to ndarray
        ``"patches"`` and, for each scale, ``"windows-<side>"``: (M, D) float32, rows of length 1, of the good images;
        empty when ``shots`` is 0.
    texts_, model_facts_
        See :class:`~pyimgano.openclip.clip_detector.ClipDetector`.

    Notes
    -----
    ``fit`` learns nothing but the references: with ``shots=0`` it only counts its images.

    The paper does not print :math:`\tau`; 0.07, CLIP's starting value, is also what other implementations take. The
    mean over the words is that of the embeddings as the model gives them. Images are resampled as a whole, where
    OpenCLIP cuts out the middle: a map covers its image. The patches' features are the last block's tokens after the
    final norm, before the projection.
    """

    references_: dict[str, np.ndarray]

    def __init__(
        self,
        backbone: str = "openclip/ViT-B-16-plus-240:laion400m_e31",
        class_name: str = "object",
        *,
        shots: Optional[int] = None,
        scales: Sequence[int] = (2, 3),
        input_size: Optional[Union[int, Sequence[int]]] = None,
        temperature: float = 0.07,
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
        seed: int = 0,
    ) -> None:
        self.backbone = backbone
        self.class_name = class_name
        self.shots = shots
        self.scales = scales
        self.input_size = input_size
        self.temperature = temperature
        self.weights = weights
        self.device = device
        self.batch_size = batch_size
        self.seed = seed

    def validate(self) -> None:
        """Check the parameters; neither torch nor open_clip is imported."""
        super().validate()
        require(
            self.shots is None or _is_whole(self.shots, 0), "shots", self.shots, "a whole number, at least 0; or null"
        )
        sides = self.scales
        whole = isinstance(sides, (list, tuple)) and len(sides) > 0 and all(_is_whole(side, 1) for side in sides)
        require(whole and len(set(sides)) == len(sides), "scales", sides, "whole numbers, each once: [2, 3]")
        require(_is_whole(self.seed, 0), "seed", self.seed, "a whole number, at least 0")

    def _check_model(self, clip: ClipModel) -> None:
        from pyimgano.openclip.transformer_views import TransformerViews
        from pyimgano.openclip.window_scores import windows

        self._views = TransformerViews(clip.model.visual, self.backbone)
        self._windows = {side: windows(self._views.grid, side).to(clip.device) for side in self.scales}

    def _fit(self, images: ImageBatches) -> None:
        self._learn_words()
        count = len(images) if self.shots is None else min(self.shots, len(images))
        chosen = set(generator(self.seed, "winclip-shots").permutation(len(images))[:count].tolist())
        found: list[dict[str, np.ndarray]] = []
        first = 0
        for batch in images:  # all of them: one that cannot be read is an error, whether it is kept or not
            kept = [image for index, image in enumerate(batch, start=first) if index in chosen]
            found += self.clip.threads.map(self._reference, kept)
            first += len(batch)
        self.references_ = {name: np.concatenate([one[name] for one in found]) for name in found[0]} if found else {}

    def _reference(self, image: np.ndarray) -> dict[str, np.ndarray]:
        from torch.nn.functional import normalize

        tokens = self._views.tokens(self.clip.normalised(image))
        parts = {PATCHES: self._views.whole(tokens)[1]}
        for side, covered in self._windows.items():
            parts[_windows_of(side)] = self._views.through(tokens, covered)
        return {name: normalize(part, dim=-1).cpu().numpy() for name, part in parts.items()}

    def _score_one(self, x: Tensor, *, maps: bool) -> tuple[float, Optional[np.ndarray]]:
        import torch

        from pyimgano.openclip.window_scores import association, defect_probability, harmonic_map, harmonic_mean

        views, texts = self._views, self._texts()
        tokens = views.tokens(x)
        embedding, patches = views.whole(tokens)
        whole = defect_probability(embedding, texts, self.temperature)
        score = whole[0]
        if not maps and not self.references_:
            return float(score), None
        seen = {side: views.through(tokens, covered) for side, covered in self._windows.items()}
        by_words = [whole[0].expand(views.grid)]
        for side, embeddings in seen.items():
            scores = defect_probability(embeddings, texts, self.temperature)
            by_words.append(harmonic_map(scores, self._windows[side], views.grid))
        grid = harmonic_mean(by_words)
        if self.references_:
            known = {name: torch.from_numpy(rows).to(x.device) for name, rows in self.references_.items()}
            by_references = [association(patches, known[PATCHES]).view(views.grid)]
            for side, embeddings in seen.items():
                scores = association(embeddings, known[_windows_of(side)])
                by_references.append(harmonic_map(scores, self._windows[side], views.grid))
            few = torch.stack(by_references).mean(dim=0)
            grid, score = (grid + few) / 2.0, (score + few.max()) / 2.0
        if not maps:
            return float(score), None
        size = (int(x.shape[-2]), int(x.shape[-1]))
        rendered = torch.nn.functional.interpolate(grid[None, None], size=size, mode="bilinear", align_corners=False)
        return float(score), rendered[0, 0].cpu().numpy()

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, facts = super()._get_state()
        return {**arrays, **{f"reference.{name}": rows for name, rows in self.references_.items()}}, facts

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        super()._set_state(arrays, facts)
        prefix = "reference."
        self.references_ = {n[len(prefix) :]: rows for n, rows in arrays.items() if n.startswith(prefix)}


def _windows_of(side: int) -> str:
    return f"windows-{side}"


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least
