"""A command under a name that is taken."""

import sys


def train() -> None:
    """Say that this is not pyimgano's train."""
    sys.stdout.write("acme-conflict trains nothing\n")
