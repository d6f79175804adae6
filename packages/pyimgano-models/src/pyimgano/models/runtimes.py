"""Runtimes under the feature extractors: each maps prepared pixels to features, one image at a time.

An image's features must not depend on the batch that it comes in, to the last bit: ``infer`` on one image has to give
the score that the image had in a run. So each image is computed alone, and images of a batch run beside each other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol, Union

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.models.trained_networks import BranchedNetwork, FeatureJudge

__all__ = ["RUNTIMES", "JudgedFeatures", "OnnxRuntime", "Runtime", "TorchRuntime", "torch_threads"]

RUNTIMES = ("auto", "onnxruntime", "torch")
"""What a parameter ``runtime`` may be."""


class Runtime(Protocol):
    """Maps images (H, W, 3) uint8 to one list of (1, C, h, w) float32 arrays per image."""

    name: str
    device: str

    def run(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return the layers' features of each image."""


class TorchRuntime:
    """Runs the torch module.

    On the CPU, each image is computed by one thread, ``threads`` images at a time: torch's results change in the last
    bits with the number of threads that share one operation (measured: up to 1e-6 relative between one and two), and
    with some kernels also with the batch size. Where there are fewer images than threads, the branches of a network
    that has such (:class:`pyimgano.models.trained_networks.BranchedNetwork`) get a thread each. On CUDA the
    images go one by one through deterministic kernels in full float32.

    Parameters
    ----------
    network : Module
        Maps (N, H, W, 3) uint8 pixels to a tuple of (N, …) float32 tensors; in eval mode.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.
    threads : int
        Images computed at the same time (CPU).
    """

    name = "torch"

    def __init__(self, network: nn.Module, *, device: str, threads: int) -> None:
        self.network = network.to(device)
        self.device = device
        self.threads = threads

    def run(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return the layers' features of each image."""
        if self.device != "cpu":
            return [self._on_cuda(image) for image in images]
        pool = torch_threads(self.threads)
        from pyimgano.models.trained_networks import BranchedNetwork

        if not isinstance(self.network, BranchedNetwork) or len(images) >= self.threads:
            return list(pool.map(self._on_cpu, images))
        branches = self.network.branches()
        begun = [[pool.submit(_branch, branch, image) for branch in branches] for image in images]
        parts = [[one.result() for one in of_image] for of_image in begun]
        return list(pool.map(partial(_join, self.network), parts))

    def _on_cpu(self, image: np.ndarray) -> list[np.ndarray]:
        import torch

        with torch.inference_mode():
            return _arrays(self.network(torch.from_numpy(image[None])))

    def _on_cuda(self, image: np.ndarray) -> list[np.ndarray]:
        import torch

        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            pixels = torch.from_numpy(image[None]).to(self.device)
            return [out.contiguous().cpu().numpy() for out in self.network(pixels)]


class OnnxRuntime:
    """Runs an exported graph (see :mod:`pyimgano.models.onnx_graphs`) on the CPU.

    A single image is computed by all threads, for latency; the images of a batch beside each other. onnxruntime gives
    the same bits for either, whatever the number of threads (tested), and takes the same time per image in batches of
    1, 4 and 8, so graphs are exported for one image.

    Parameters
    ----------
    graph : Path or bytes
    layers : sequence of str
    threads : int
    """

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, graph: Union[Path, bytes], *, layers: Sequence[str], threads: int) -> None:
        from pyimgano.models.onnx_graphs import INPUT, open_session

        self.session = open_session(graph, threads=threads)
        self.layers = list(layers)
        self.threads = threads
        self._input = INPUT
        self._pool: Optional[ThreadPoolExecutor] = None

    def run(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return the layers' features of each image."""
        if len(images) == 1 or self.threads == 1:
            return [self._one(image) for image in images]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, "pyimgano-onnx")
        return list(self._pool.map(self._one, images))

    def _one(self, image: np.ndarray) -> list[np.ndarray]:
        outputs: list[np.ndarray] = self.session.run(self.layers, {self._input: image[None]})
        return outputs


class JudgedFeatures:
    """Runs a frozen backbone as a graph, and what judges its features as a torch module; on the CPU.

    A backbone takes most of the time, and a graph of it gives the same bits with any number of threads, so all of them
    share a single image there. The rest of an image is computed by one thread, as in :class:`TorchRuntime`.

    Parameters
    ----------
    graph : callable
        Returns the backbone's runtime; called at the first image.
    network : FeatureJudge
        In scoring mode when :meth:`run` is called.
    threads : int
        Images judged at the same time.
    """

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, graph: Callable[[], Runtime], network: FeatureJudge, *, threads: int) -> None:
        self.network = network
        self.threads = threads
        self._open = graph
        self._graph: Optional[Runtime] = None

    def run(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return what the network makes of each image."""
        if self._graph is None:
            self._graph = self._open()
        return list(torch_threads(self.threads).map(self._judge, self._graph.run(images)))

    def _judge(self, features: list[np.ndarray]) -> list[np.ndarray]:
        import torch

        with torch.inference_mode():
            return _arrays(self.network.judge([torch.from_numpy(layer) for layer in features]))


def _branch(branch: Callable[[Any], Any], image: np.ndarray) -> Any:
    import torch

    with torch.inference_mode():
        return branch(torch.from_numpy(image[None]))


def _join(network: BranchedNetwork, parts: list[Any]) -> list[np.ndarray]:
    import torch

    with torch.inference_mode():
        return _arrays(network.join(parts))


def _arrays(outputs: Sequence[Any]) -> list[np.ndarray]:
    return [out.contiguous().numpy() for out in outputs]


def torch_threads(workers: int) -> ThreadPoolExecutor:
    """Return the pool in whose threads torch computes with one thread each; the caller's own setting stays.

    All of a process share it. What runs in it must not wait for it.
    """
    return _torch_threads(workers, os.getpid())


@cache
def _torch_threads(workers: int, process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; a forked one has none of its parent's and gets its own."""
    import torch

    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "pyimgano-torch", initializer=torch.set_num_threads, initargs=(1,))
    # torch keeps the number both per thread and for threads to come: start all workers now, then put the latter back.
    everyone = threading.Barrier(workers)
    for future in [pool.submit(everyone.wait) for _ in range(workers)]:
        future.result()
    torch.set_num_threads(before)
    return pool
