"""Needs a module that no environment has."""

import acme_absent_backend

RECIPES = (acme_absent_backend.RECIPE,)


def command() -> None:
    """Never gets here."""
