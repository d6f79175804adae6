"""Sets that grow together: which images are linked, however far."""

from __future__ import annotations

__all__ = ["Unions"]


class Unions:
    """Disjoint sets of the numbers 0 to n − 1.

    Parameters
    ----------
    n : int
        How many numbers; each begins as a set of its own.
    """

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, item: int) -> int:
        """Return the least number of the set that ``item`` is in."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(self, a: int, b: int) -> bool:
        """Make one set of two; return whether they were two."""
        first, second = sorted((self.root(a), self.root(b)))
        self._parent[second] = first
        return first != second

    def roots(self) -> list[int]:
        """Return the root of every number."""
        return [self.root(item) for item in range(len(self._parent))]
