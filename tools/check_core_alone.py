"""Import every module of the installed core, and fail when that brings OpenCV, torch or another heavy package."""

from __future__ import annotations

import importlib
import pkgutil
import sys

HEAVY = {"cv2", "joblib", "onnxruntime", "pydantic", "pytest", "scipy", "sklearn", "timm", "torch", "typer"}


def main() -> int:
    """Run the check."""
    core = importlib.import_module("pyimgano.core")
    names = [module.name for module in pkgutil.walk_packages(core.__path__, "pyimgano.core.")]
    for name in names:
        importlib.import_module(name)
    heavy = sorted(HEAVY & set(sys.modules))
    print(f"imported pyimgano.core and {len(names)} modules below it from {core.__path__[0]}")
    if heavy:
        print(f"core imports what it must not: {', '.join(heavy)}", file=sys.stderr)
    return 1 if heavy else 0


if __name__ == "__main__":
    sys.exit(main())
