"""The command line of pyimgano: the app, its output and its errors.

It knows no workflow: ``train``, ``benchmark``, ``infer`` and the others are commands that installed distributions
contribute through the entry-point group ``pyimgano.cli``. Importing this package imports neither typer nor rich.
"""

__all__: list[str] = []
