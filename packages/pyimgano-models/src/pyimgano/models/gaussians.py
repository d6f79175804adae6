"""One Gaussian of feature vectors for every position of a grid: fitted in a stream, asked for Mahalanobis distances."""

from __future__ import annotations

import numpy as np

from pyimgano.models.parallel import map_blocks, split_blocks

__all__ = ["GaussianAccumulator", "PositionGaussians"]

_CHUNK = 32
"""Images whose products are computed at once."""
_POSITIONS = 64
"""Positions worked on at once: with 100 features their matrices take 2.6 MB of float32, which stays in the cache."""


class PositionGaussians:
    """Gaussians in the form that distances are computed from.

    Parameters
    ----------
    mean : ndarray, (P, D) float64
    whitening : ndarray, (P, D (D + 1) / 2) float32
        Row by row, the lower triangle of the inverse of each covariance's Cholesky factor.
    """

    def __init__(self, mean: np.ndarray, whitening: np.ndarray) -> None:
        self.mean = mean
        self.whitening = whitening
        rows, columns = np.tril_indices(mean.shape[1])
        self._matrices = np.zeros((*mean.shape, mean.shape[1]), dtype=np.float32)

        def work(part: slice) -> None:
            self._matrices[part, rows, columns] = whitening[part]

        map_blocks(work, split_blocks(len(mean), most=_POSITIONS))

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distance of each vector to its position's Gaussian.

        Parameters
        ----------
        vectors : ndarray, (N, P, D) float32

        Returns
        -------
        ndarray, (N, P) float32
            An image's distances do not depend, to the last bit, on the other images or on the number of threads.
        """
        result = np.empty(vectors.shape[:2], dtype=np.float32)

        def work(part: slice) -> None:
            matrices, mean = self._matrices[part], self.mean[part]
            for image, out in zip(vectors, result):
                # Not a product over all images: a BLAS gives other last bits for other numbers of them.
                offset = np.subtract(image[part], mean, dtype=np.float64).astype(np.float32)
                white = np.einsum("pij,pj->pi", matrices, offset)
                out[part] = np.sqrt(np.einsum("pi,pi->p", white, white))

        map_blocks(work, split_blocks(len(self.mean), most=_POSITIONS))
        return result


class GaussianAccumulator:
    """Means and covariances of vectors that come a few images at a time.

    Sums are taken in float64 about a provisional mean, that of the first images, so that nothing cancels. With fewer
    images than features a covariance has no full rank, and its inverse magnifies errors as far as ``epsilon`` lets
    it: products summed in float32 were off by 2e-4 in the distances (measured). What is held does not grow with the
    number of images: ``4 D (D + 1)`` bytes a position, 127 MB for 56 × 56 positions and 100 features.

    Parameters
    ----------
    positions, features : int
        ``P`` and ``D``.
    """

    def __init__(self, positions: int, features: int) -> None:
        self.count = 0
        self._pending = np.empty((_CHUNK, positions, features), dtype=np.float32)
        self._waiting = 0
        self._origin = np.zeros((positions, features), dtype=np.float32)
        self._sums = np.zeros((positions, features))
        rows, columns = np.tril_indices(features)
        self._triangle = rows * features + columns
        self._products = np.zeros((positions, len(rows)))

    def add(self, vectors: np.ndarray) -> None:
        """Add images: (N, P, D) float32. How they are batched does not matter, to the last bit."""
        for image in vectors:
            self._pending[self._waiting] = image
            self._waiting += 1
            if self._waiting == _CHUNK:
                self._flush()

    def _flush(self) -> None:
        if self._waiting == 0:
            return
        chunk = self._pending[: self._waiting]
        if self.count == 0:
            self._origin = chunk.mean(axis=0, dtype=np.float64).astype(np.float32)

        def work(part: slice) -> None:
            vectors = chunk[:, part].transpose(1, 0, 2)
            shifted = np.empty(vectors.shape)
            np.subtract(vectors, self._origin[part][:, None], out=shifted, dtype=np.float64)
            self._sums[part] += shifted.sum(axis=1)
            products = (shifted.transpose(0, 2, 1) @ shifted).reshape(len(shifted), -1)
            # mode="clip" writes straight into the result: a third of the time of an index with a bounds check.
            self._products[part] += products.take(self._triangle, axis=1, mode="clip")

        map_blocks(work, split_blocks(chunk.shape[1], most=_POSITIONS))
        self.count += self._waiting
        self._waiting = 0

    def finish(self, epsilon: float) -> PositionGaussians:
        """Return the Gaussians of all that was added; ``epsilon`` is added to the covariances' diagonals.

        The covariance is the unbiased one; of a single image it is zero. The accumulator is used up.

        Raises
        ------
        ValueError
            When a covariance is not positive definite: ``epsilon`` is too small for its numbers.
        """
        from scipy.linalg import lapack

        self._flush()
        del self._pending
        positions, features = self._sums.shape
        rows, columns = np.divmod(self._triangle, features)
        diagonal = np.flatnonzero(rows == columns)
        mean = np.empty((positions, features))
        whitening = np.empty(self._products.shape, dtype=np.float32)
        divisor = max(1, self.count - 1)

        def work(part: slice) -> None:
            shift = self._sums[part] / self.count
            mean[part] = self._origin[part] + shift
            triangles = shift.take(rows, axis=1, mode="clip")
            triangles *= shift.take(columns, axis=1, mode="clip")
            triangles *= -self.count
            triangles += self._products[part]
            triangles /= divisor
            triangles[:, diagonal] += epsilon
            matrices = np.empty((len(shift), features, features))
            matrices.reshape(len(shift), -1)[:, self._triangle] = triangles
            for matrix in matrices:
                # LAPACK counts by columns: the lower triangle of a row-wise matrix is its upper one. In place.
                factor, failed = lapack.dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
                if not failed:
                    _, failed = lapack.dtrtri(factor, lower=0, overwrite_c=1)
                if failed:
                    raise ValueError(f"epsilon = {epsilon:g} is too small: a covariance is not positive definite")
            whitening[part] = matrices.reshape(len(shift), -1).take(self._triangle, axis=1, mode="clip")

        map_blocks(work, split_blocks(positions, most=_POSITIONS))
        del self._products  # before the matrices are made: these take as much again
        return PositionGaussians(mean, whitening)
