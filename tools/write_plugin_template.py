"""Write the files of ``examples/plugin-template`` into the package from which ``pyimgano plugins new`` takes them.

::

    python tools/write_plugin_template.py
    python tools/write_plugin_template.py --check
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyimgano.core.files import dumps_json

ROOT = Path(__file__).resolve().parents[1]
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the package's copy differs")
    options = parser.parse_args()
    content = (dumps_json(read_example(), indent=1) + "\n").encode("utf-8")
    if options.check:
        if not TARGET.is_file() or TARGET.read_bytes() != content:
            print(f"{TARGET.name} is not what the example is: run tools/write_plugin_template.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_bytes(content)
    print(f"wrote {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
