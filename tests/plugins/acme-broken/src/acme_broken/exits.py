"""Ends the process while it is imported."""

import sys

sys.exit("acme_broken cannot live here")
