"""Write the JSON Schemas that ``pyimgano schema`` prints as the files of ``schemas/``.

::

    python tools/write_schemas.py
    python tools/write_schemas.py --check
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyimgano.core.files import dumps_json
from pyimgano.workbench.schemas import SCHEMAS, json_schema

FOLDER = Path(__file__).resolve().parents[1] / "schemas"


def expected() -> dict[str, bytes]:
    """Return file name → content."""
    return {f"{name}.schema.json": (dumps_json(json_schema(name), indent=2) + "\n").encode() for name in SCHEMAS}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is not up to date")
    options = parser.parse_args()
    files = expected()
    found = {path.name: path.read_bytes().replace(b"\r\n", b"\n") for path in FOLDER.glob("*.json")}
    differing = sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))
    for name in differing:
        if options.check:
            print(f"schemas/{name} is not up to date: python tools/write_schemas.py", file=sys.stderr)
        elif name in files:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / name).write_bytes(files[name])
        else:
            (FOLDER / name).unlink()
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
