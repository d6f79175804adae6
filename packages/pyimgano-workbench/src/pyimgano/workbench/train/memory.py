"""Whether an error says that the memory is not enough."""

from __future__ import annotations

__all__ = ["is_out_of_memory"]

# torch raises a class of its own on CUDA, and a plain RuntimeError on the CPU.
_SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether ``error`` is one of memory: of Python, of torch on the CPU, or of a CUDA device."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)
