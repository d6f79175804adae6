"""What is written of each image beside its score, and the scoring that writes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from pyimgano.workbench.inference.models import FittedModels
    from pyimgano.workbench.inference.sinks import Destination
    from pyimgano.workbench.inference.sources import Source
    from pyimgano.workbench.inference.stream import Summary, Writer

__all__ = ["WantedOutput", "score_inputs"]


@dataclass(frozen=True)
class WantedOutput:
    """What is written of each image beside its score.

    Attributes
    ----------
    maps, masks, overlays : bool
        Pictures.
    regions : bool
        Whether regions are listed.
    """

    maps: bool = False
    masks: bool = False
    overlays: bool = False
    regions: bool = True

    @property
    def pictures(self) -> tuple[str, ...]:
        """The options of the pictures that are wanted."""
        wanted = (("--maps", self.maps), ("--masks", self.masks), ("--overlays", self.overlays))
        return tuple(option for option, asked in wanted if asked)

    def check_destination(self, destination: Destination, *, as_json: bool) -> None:
        """Refuse what does not fit to where the output goes.

        Raises
        ------
        ConfigError
            It names the option.
        """
        from pyimgano.core.errors import ConfigError

        if self.pictures and destination.kind != "folder":
            raise ConfigError(f"{', '.join(self.pictures)} need a folder", where="--output", hint="--output DIR")
        if self.pictures and not self.regions:
            raise ConfigError(f"{', '.join(self.pictures)} need the maps that --no-regions saves", where="--no-regions")
        if as_json and destination.kind == "stdout":
            hint = "--output FILE; the records themselves are JSON already"
            raise ConfigError("--json needs --output: standard output is taken by the records", hint=hint)

    def check_models(self, models: FittedModels) -> None:
        """Refuse, before anything is scored, what the models cannot give.

        Raises
        ------
        ConfigError
            It names the option.
        """
        from pyimgano.core.errors import ConfigError

        if self.pictures and not models.has_maps:
            raise ConfigError(
                f"{', '.join(self.pictures)}: the model {models.model!r} scores whole images and has no anomaly maps",
                hint="a model with maps: pyimgano models list --tag pixel",
            )
        if models.decided_by_regions and not self.regions:
            raise ConfigError(
                "this run's regions decide which image is defective (regions.decide): they cannot be left out",
                where="--no-regions",
            )


def score_inputs(
    models: FittedModels,
    sources: Iterable[Source],
    writer: Writer,
    folder: Optional[Path],
    wanted: WantedOutput,
    *,
    batch_size: Optional[int] = None,
    each: Optional[Callable[[int], None]] = None,
    after: Optional[Summary] = None,
) -> Summary:
    """Score images, and write their records and pictures; see :func:`~pyimgano.workbench.inference.write_predictions`.

    Parameters
    ----------
    folder : Path or None
        Where pictures go.
    """
    from pyimgano.workbench.inference.stream import predict_stream, write_predictions
    from pyimgano.workbench.render.pictures import PictureWriter

    return write_predictions(
        predict_stream(
            sources,
            models.fitted,
            maps=bool(wanted.pictures) or (wanted.regions and models.has_maps),
            batch_size=batch_size,
        ),
        writer,
        PictureWriter(folder or Path(), maps=wanted.maps, masks=wanted.masks, overlays=wanted.overlays),
        each=each,
        after=after,
    )
