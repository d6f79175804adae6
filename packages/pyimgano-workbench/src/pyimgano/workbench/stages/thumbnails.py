"""Small pictures of some test images for the report, made while their maps are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.batching import read_ahead
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import PyimganoError, StorageError
from pyimgano.core.images import as_rgb8
from pyimgano.workbench.evaluate import MapSpool
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.render.small_pictures import SIDE
from pyimgano.workbench.render.small_pictures import encode_jpeg as _jpeg
from pyimgano.workbench.render.small_pictures import shrink as _shrink
from pyimgano.workbench.runs.naming import file_stem
from pyimgano.workbench.verdict import Judge

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.config import RunConfig

__all__ = ["SIDE", "choose_thumbnails", "thumbnail_files", "write_thumbnails"]


def choose_thumbnails(records: Sequence[Mapping[str, Any]], threshold: Optional[float], n: int) -> list[int]:
    """Return the positions of up to ``n`` scored records, the most telling first.

    The worst false rejects and escapes in turn, at most half of ``n``; then, in turn, those nearest to the threshold
    and those spread evenly over the other scores. The choice depends on the records alone, not on their order.

    Parameters
    ----------
    records : sequence of mapping
        With ``image``, ``label``, ``score`` and ``decision`` of each, as in ``per_image.jsonl``.
    threshold : float or None
        Defective is score ≥ threshold where a record has no decision.
    n : int
        How many.
    """
    scored = sorted(
        (index for index, record in enumerate(records) if record.get("score") is not None),
        key=lambda index: (records[index]["score"], records[index]["image"]),
    )
    if threshold is None:
        return _spread(scored, n)

    def rejected(index: int) -> bool:
        decision = records[index].get("decision")
        return records[index]["score"] >= threshold if decision is None else decision == "defective"

    false_rejects = [index for index in reversed(scored) if records[index].get("label") == 0 and rejected(index)]
    escapes = [index for index in scored if records[index].get("label") == 1 and not rejected(index)]
    chosen = _in_turn([false_rejects, escapes], n // 2)
    taken = set(chosen)
    rest = [index for index in scored if index not in taken]
    near = sorted(rest, key=lambda index: (abs(records[index]["score"] - threshold), records[index]["image"]))
    return chosen + _in_turn([near, _spread(rest, len(rest))], n - len(chosen))


def _in_turn(lists: Sequence[Sequence[int]], n: int) -> list[int]:
    """Return up to ``n`` different items, taken from the lists one after the other."""
    found: dict[int, None] = {}
    places = [iter(items) for items in lists]
    while places and len(found) < n:
        for place in list(places):
            item = next((item for item in place if item not in found), None)
            if item is None:
                places.remove(place)
            elif len(found) < n:
                found[item] = None
    return list(found)


def _spread(items: Sequence[int], n: int) -> list[int]:
    """Return ``n`` items such that any first part of the result is spread over the whole, its two ends first."""
    order: dict[int, None] = {}
    last = len(items) - 1
    step = 1
    while len(order) < min(n, len(items)):
        order.update(dict.fromkeys(round(last * part / step) for part in range(step + 1)))
        step *= 2
    return [items[at] for at in list(order)[:n]]


def thumbnail_files(folder: Path, image: str) -> tuple[Path, Path]:
    """Return where the small picture of an image lies, and that of its heat-map, in a category's folder."""
    stem = folder / "thumbs" / file_stem(image)
    return stem.with_name(f"{stem.name}.jpg"), stem.with_name(f"{stem.name}_map.jpg")


def write_thumbnails(
    config: RunConfig,
    folder: Path,
    samples: Sequence[Sample],
    records: Sequence[Any],
    shapes: Sequence[Any],
    spool: MapSpool,
    judge: Judge,
    progress: Progress,
) -> None:
    """Write up to ``config.output.thumbnails`` pictures of a category's test images.

    A picture that cannot be made is no reason to lose a run: the rest is left out, and ``progress`` is told.

    Parameters
    ----------
    folder : Path
        The category's.
    samples, records, shapes : sequence
        The test images, their records, and their (H, W), in the same order.
    spool : MapSpool
        Their maps, by position; an image without one gets no heat-map.
    judge : Judge
        Whose regions are outlined.
    progress : Progress
        Told what went wrong.
    """
    known = [{"image": r.image, "label": r.label, "score": r.score, "decision": r.decision} for r in records]
    chosen = choose_thumbnails(known, judge.card.threshold, config.output.thumbnails)

    def write(position: int) -> None:
        index = chosen[position]
        anomaly_map = spool.read(index) if spool.has(index) else None
        picture, heat = _draw(config, samples[index], anomaly_map, shapes[index], judge)
        plain, mapped = thumbnail_files(folder, records[index].image)
        try:
            # No atomic_open: the run is not complete yet, and an interrupted category is evaluated anew.
            plain.parent.mkdir(parents=True, exist_ok=True)
            plain.write_bytes(picture)
            if heat is not None:
                mapped.write_bytes(heat)
        except OSError as error:
            raise StorageError(f"cannot write: {error.strerror or error}", where=str(plain)) from error

    try:
        for _ in read_ahead(write, len(chosen), ahead=8):
            pass
    except PyimganoError as error:
        progress.note(f"warning: the report has not all of its pictures: {error}")


def _draw(
    config: RunConfig, sample: Sample, anomaly_map: Optional[np.ndarray], shape: Any, judge: Judge
) -> tuple[bytes, Optional[bytes]]:
    """Return the small picture of a test image and that of its heat-map, as JPEG."""
    import cv2
    import numpy as np

    from pyimgano.datasets import load_mask
    from pyimgano.workbench.render import MapScale, overlay

    card = judge.card
    if anomaly_map is None or card.pixel_threshold is None or card.map_low is None:
        try:
            status = sample.source.stat()
        except OSError as error:
            raise StorageError(f"cannot read: {error.strerror or error}", where=sample.id) from error
        return _drawn_alone(sample.source, status.st_mtime_ns, status.st_size, config.dataset.value_range), None
    small = _shrink(as_rgb8(sample.source, value_range=config.dataset.value_range))
    found = judge.regions(anomaly_map, shape).mask
    inside = judge.processing.inside(shape)
    size = (small.shape[1], small.shape[0])
    # A map with more pixels than the picture is shrunk by its maxima: what was found does not vanish.
    times = max(-(-anomaly_map.shape[0] // size[1]), -(-anomaly_map.shape[1] // size[0]))
    if times > 1:
        anomaly_map = cv2.dilate(anomaly_map, np.ones((times, times), np.uint8))
    truth = load_mask(sample, shape) if sample.masks and sample.label == 1 else None
    if truth is not None:
        truth = _shrink_mask(truth, size)
    if inside is not None:
        inside = _shrink_mask(inside, size)
    scale = MapScale.between(card.map_low, card.pixel_threshold)
    heat = overlay(small, anomaly_map, scale, found=_shrink_mask(found, size), truth=truth, inside=inside)
    return _jpeg(small, sample.id), _jpeg(_shrink(heat), sample.id)


@lru_cache(maxsize=1024)  # some MiB: the models of a benchmark have the same test images
def _drawn_alone(path: Path, mtime_ns: int, size: int, value_range: Optional[tuple[float, float]]) -> bytes:
    """Return the small picture of a file; ``mtime_ns`` and ``size`` say whether it is still the same."""
    return _jpeg(_shrink(as_rgb8(path, value_range=value_range)), path)


def _shrink_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask at a size (width, height), in which no region vanishes."""
    import cv2
    import numpy as np

    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0)
