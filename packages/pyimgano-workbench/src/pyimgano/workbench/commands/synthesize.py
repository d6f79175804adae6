"""``pyimgano synthesize``: a dataset of synthesised defects from good images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.completions import defect_kinds, layouts

if TYPE_CHECKING:
    from pyimgano.workbench.synthesis import Synthesis

__all__ = ["synthesize"]


def synthesize(
    source: Path = typer.Argument(
        metavar="DATASET_OR_FOLDER", help="A dataset in any layout, a manifest, or a folder of good images."
    ),
    output: Path = typer.Option(
        ..., "--output", "-o", metavar="DIR", help="Folder of the new dataset; must not exist, or be empty."
    ),
    kinds: Optional[str] = typer.Option(
        None,
        "--kinds",
        metavar="A,B=WEIGHT",
        help="E.g. scratch=3,stain (see: pyimgano components list --tag defects). Default: all kinds.",
        autocompletion=defect_kinds,
    ),
    per_image: str = typer.Option("1", "--per-image", metavar="N or A-B", help="Defects on an image, e.g. 1-3."),
    severity: str = typer.Option(
        "1-4", "--severity", metavar="N or A-B", help="1: small and faint … 5: nobody overlooks it."
    ),
    count: Optional[int] = typer.Option(
        None,
        "--count",
        metavar="N",
        min=1,
        help="Images with defects, per category. Default: each image set aside for it once.",
    ),
    roi: Optional[Path] = typer.Option(
        None, "--roi", metavar="MASK", help="Image whose pixels other than 0 say where defects may lie, in all images."
    ),
    bank: Optional[Path] = typer.Option(
        None, "--bank", metavar="DIR", help="Crops of real defects with masks, for the kind defect-bank."
    ),
    seed: int = typer.Option(
        0, "--seed", metavar="N", min=0, help="Seed of all lots: the same one gives the same bytes."
    ),
    preview: Optional[Path] = typer.Option(
        None, "--preview", metavar="SHEET.png", help="Write a contact sheet of some images of each kind."
    ),
    category: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--category", help="Only this category of the dataset; may be repeated."
    ),
    format: str = typer.Option(
        "auto", "--format", help="Layout; auto finds out (see: pyimgano datasets list).", autocompletion=layouts
    ),
    value_range: Optional[Tuple[float, float]] = typer.Option(  # noqa: UP006
        None, "--value-range", metavar="LOW HIGH", help="Values that become 0 and 255, e.g. 0 4095 of 12 bits in 16."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Write a dataset of good images and of others with synthesised defects.

    It has masks, and MVTec's layout. Half of the good test images get defects, the others are test/good. Without a test
    split, two fifths of the good images become test images first. No image stands on both sides.

    How a model does on synthesised defects tells whether the pipeline works, not how good it is on real ones.

    Example: pyimgano synthesize parts/ --output parts-defects --kinds scratch,dent=2 --per-image 1-3
    """
    from pyimgano.workbench.commands.console import ConsoleProgress, say
    from pyimgano.workbench.commands.printing import print_json, stdout_reserved
    from pyimgano.workbench.defects.placing import Placing, chosen_kinds
    from pyimgano.workbench.synthesis import synthesise

    with stdout_reserved():
        chosen = chosen_kinds(_weights(kinds), bank=None if bank is None else str(bank), bank_key="--bank")
        placing = Placing(
            chosen,
            count=_range("--per-image", per_image, most=None),
            severity=_range("--severity", severity, most=5),
        )
        region = None
        if roi is not None:
            from pyimgano.core.errors import ImageError
            from pyimgano.core.images import read_mask

            region = read_mask(roi)
            if not region.any():
                raise ImageError("the ROI is empty", where=str(roi), allowed="a mask with pixels other than 0")
        written = synthesise(
            source,
            output,
            placing,
            count=count,
            roi=region,
            seed=seed,
            value_range=value_range,
            format=format,
            categories=category or None,
            preview=preview,
            progress=ConsoleProgress(),
        )
    for note in written.notes:
        say(note)
    if as_json:
        print_json(_told(written, preview))
    else:
        _print(written, preview)


def _weights(text: Optional[str]) -> list[tuple[str, float]]:
    """Return the names and weights of ``scratch=3,stain``."""
    from pyimgano.core.errors import ConfigError

    found = []
    for part in [] if text is None else text.split(","):
        name, separator, weight = (piece.strip() for piece in part.partition("="))
        try:
            value = float(weight) if separator else 1.0
        except ValueError:
            value = 0.0
        if not name or not 0.0 < value < float("inf"):
            raise ConfigError(
                f"{part!r} is no kind of defect",
                where="--kinds",
                allowed="names with commas between them, each with =WEIGHT above 0 where wanted: scratch=3,stain",
            )
        found.append((name, value))
    return found


def _range(option: str, text: str, *, most: Optional[int]) -> tuple[int, int]:
    """Return the two numbers of ``2`` or ``1-3``."""
    from pyimgano.core.errors import ConfigError

    low, separator, high = text.partition("-")
    parts = (low.strip(), (high if separator else low).strip())
    numbers = [int(part) for part in parts if part.isdecimal()]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] or (most is not None and numbers[1] > most):
        limit = f"from 1 to {most}" if most is not None else "at least 1"
        raise ConfigError(
            f"{text!r} is no range", where=option, allowed=f"a whole number {limit}, or two with - between them: 1-3"
        )
    return numbers[0], numbers[1]


def _told(written: Synthesis, preview: Optional[Path]) -> dict[str, object]:
    return {
        "dataset": written.path,
        "facts": written.path / "synthesis.json",
        "preview": preview,
        "seed": written.facts["seed"],
        "counts": written.counts(),
        "notes": list(written.notes),
    }


def _print(written: Synthesis, preview: Optional[Path]) -> None:
    from pyimgano.workbench.commands.console import quoted, say
    from pyimgano.workbench.commands.printing import print_text

    for category, folders in written.counts().items():
        for folder, images in folders.items():
            say(f"{category}: {folder:<22} {images}")
    if preview is not None:
        say(f"preview: {preview}")
    print_text(str(written.path))
    place = quoted(written.path)
    say(f"\nNext:\n  pyimgano datasets inspect {place}\n  pyimgano train --dataset {place}")
