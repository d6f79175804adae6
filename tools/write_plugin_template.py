"""Write the files of ``examples/plugin-template`` into the package from which ``pyimgano plugins new`` takes them.

::

    python tools/write_plugin_template.py
    python tools/write_plugin_template.py --check
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from written_files import ROOT, write_or_check

from pyimgano.core.files import dumps_json

EXAMPLE = ROOT / "examples" / "plugin-template"
TARGET = ROOT / "packages" / "pyimgano-cli" / "src" / "pyimgano" / "cli" / "plugin_template.json"


def read_example() -> dict[str, Any]:
    """Return the template: schema version, and path → lines of every file that git would keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=EXAMPLE, check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")
    names = sorted(name for name in listing.split("\0") if name and (EXAMPLE / name).is_file())
    return {"schema_version": 1, "files": {name: _lines(EXAMPLE / name) for name in names}}


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8").replace("\r\n", "\n").split("\n")


def main() -> int:
    """Run the command line."""
    return write_or_check(__doc__, {TARGET: dumps_json(read_example(), indent=1) + "\n"})


if __name__ == "__main__":
    sys.exit(main())
