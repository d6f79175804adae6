"""The commands that this package brings itself. Modules import typer at their top and everything else when called."""

__all__: list[str] = []
