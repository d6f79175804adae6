"""``python -m pyimgano.cli`` is ``pyimgano``."""

import sys

from pyimgano.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
