"""``pyimgano bundle serve``."""

__all__ = ["serve"]


def serve() -> None:
    """Serve."""
