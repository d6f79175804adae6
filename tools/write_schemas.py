"""Write the JSON Schemas that ``pyimgano schema`` prints as the files of ``schemas/``.

::

    python tools/write_schemas.py
    python tools/write_schemas.py --check
"""

from __future__ import annotations

import sys
from pathlib import Path

from written_files import ROOT, write_or_check

from pyimgano.core.files import dumps_json
from pyimgano.workbench.schemas import SCHEMAS, json_schema

FOLDER = ROOT / "schemas"


def expected() -> dict[Path, str]:
    """Return what each file holds."""
    return {FOLDER / f"{name}.schema.json": dumps_json(json_schema(name), indent=2) + "\n" for name in SCHEMAS}


def main() -> int:
    """Run the command line."""
    return write_or_check(__doc__, expected(), found=FOLDER.glob("*.json"))


if __name__ == "__main__":
    sys.exit(main())
