"""``pyimgano augment``: the drifts there are, and what they do to one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.completions import drift_list, drift_tags

if TYPE_CHECKING:
    import numpy as np

__all__ = ["app"]

OUTLINE = (255, 60, 60)
"""Colour of a mask's outline, RGB."""

app = typer.Typer(
    help="Industrial drift: which kinds there are, and what they look like.\n\nExample: pyimgano augment list",
    no_args_is_help=True,
)


@app.command("list")
def list_drifts(
    tag: Optional[List[str]] = typer.Option(  # noqa: UP006
        None,
        "--tag",
        help="Only drifts with this tag: light, optics, sensor, geometry, surface; may be repeated.",
        autocompletion=drift_tags,
    ),
    names: bool = typer.Option(False, "--names", help="Give the names alone."),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON array with everything that is known."),
) -> None:
    """List the drifts, one per line.

    Example: pyimgano augment list --tag light
    """
    from pyimgano.core.errors import UnknownNameError
    from pyimgano.core.registry import COMPONENTS
    from pyimgano.workbench.commands.printing import print_json, print_table, print_text

    entries = [entry for entry in COMPONENTS.entries() if entry.spec.kind == "augment"]
    known = sorted({one for entry in entries for one in entry.spec.tags})
    for wanted in tag or ():
        if wanted not in known:
            raise UnknownNameError(f"no drift has the tag {wanted!r}", where="--tag", allowed=known)
    entries = [entry for entry in entries if set(tag or ()) <= set(entry.spec.tags)]
    if as_json:
        print_json([entry.to_json() for entry in entries])
    elif names:
        for entry in entries:
            print_text(entry.spec.name)
    else:
        rows = [(entry.spec.name, entry.spec.summary, " ".join(entry.spec.tags) or "-") for entry in entries]
        print_table(("drift", "summary", "tags"), rows)


@app.command("preview")
def preview(
    images: List[Path] = typer.Argument(metavar="IMAGE...", help="Images to drift."),  # noqa: UP006
    output: Path = typer.Option(..., "--output", "-o", metavar="SHEET.png", help="The sheet, a PNG."),
    drifts: Optional[str] = typer.Option(
        None,
        "--drifts",
        metavar="NAME,...",
        help="Rows, e.g. glare,defocus. Default: all (pyimgano augment list).",
        autocompletion=drift_list,
    ),
    severities: str = typer.Option("1,2,3,4,5", "--severities", metavar="N,...", help="Columns, e.g. 1,3,5."),
    masks: Optional[List[Path]] = typer.Option(  # noqa: UP006
        None,
        "--mask",
        help="A mask, drawn as an outline that moves with its image; one for each, in their order.",
    ),
    seed: int = typer.Option(0, "--seed", metavar="N", min=0, help="Of everything that is drawn by lot."),
    cell: int = typer.Option(
        160, "--cell", metavar="N", min=16, max=2048, help="Side of each picture on the sheet, in pixels."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the sheet's path and what it shows as JSON."),
) -> None:
    """Show what drifts do to images, on one sheet: a row for each drift, a column for each severity.

    All severities of a row draw the same lots: what grows is the drift alone.

    Example: pyimgano augment preview part.png --drifts exposure,defocus,rotation --severities 1,3,5 -o sheet.png
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.core.images import read_image, read_mask, write_png
    from pyimgano.workbench.commands.console import quoted, say
    from pyimgano.workbench.commands.printing import print_json
    from pyimgano.workbench.render import contact_sheet

    if output.suffix.lower() != ".png":
        raise ConfigError(f"{output.name!r} is no PNG", where="--output", allowed="a file name that ends in .png")
    if masks and len(masks) != len(images):
        raise ConfigError(f"{len(masks)} masks for {len(images)} images", where="--mask", allowed="one for each image")
    made = _components(drifts, severities)
    sources = [read_image(path) for path in images]
    known = [read_mask(path, shape=(len(image), len(image[0]))) for path, image in zip(masks or (), sources)]
    rows = []
    for name, components in made.items():
        for number, (path, image) in enumerate(zip(images, sources)):
            title = name if len(images) == 1 else f"{name}: {path.name}"
            rows.append((title, _cells(name, components, image, known[number] if known else None, seed)))
    write_png(contact_sheet(rows, cell=cell), output)
    if as_json:
        shown = {
            "sheet": output,
            "images": list(images),
            "drifts": list(made),
            "severities": list(next(iter(made.values()))),
        }
        print_json(shown)
    else:
        say(f"{len(rows)} rows, {len(rows[0][1])} columns: {quoted(output)}")


def _components(drifts: Optional[str], severities: str) -> dict[str, dict[int, Any]]:
    """Return name → severity → component, in the order that they were asked for."""
    from pyimgano.core.creation import create_component
    from pyimgano.core.errors import ConfigError, UnknownNameError
    from pyimgano.core.names import unknown_name_hint
    from pyimgano.workbench.config.components import component_names

    known = component_names("augment")
    names = known if drifts is None else [name.strip() for name in drifts.split(",")]
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"unknown drift {name!r}", where="--drifts", allowed=known, hint=unknown_name_hint(name, known)
            )
    try:
        numbers = [int(number) for number in severities.split(",")]
    except ValueError:
        raise ConfigError(repr(severities), where="--severities", allowed="numbers of 1 to 5, e.g. 1,3,5") from None
    # A name or number that is given twice is shown once.
    return {
        name: {number: create_component("augment", name, {"severity": number}) for number in numbers} for name in names
    }


def _cells(
    name: str, components: dict[int, Any], image: np.ndarray, mask: Optional[np.ndarray], seed: int
) -> list[tuple[str, np.ndarray]]:
    """Return the captioned pictures of one row: the image as it is, then by severity."""
    from pyimgano.core.seeding import generator
    from pyimgano.workbench.render import draw_outline

    def outlined(picture: np.ndarray, where: Optional[np.ndarray]) -> np.ndarray:
        return picture if where is None else draw_outline(picture, where, OUTLINE)

    cells = [("as it is", outlined(image, mask))]
    for severity, component in components.items():
        cells.append((str(severity), outlined(*component(image, generator(seed, "preview", name), mask=mask))))
    return cells
