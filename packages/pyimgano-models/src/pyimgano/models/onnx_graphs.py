"""Exported graphs of the feature extractors, kept in the cache.

A graph holds one backbone cut at some layers, its weights, one input size and the normalisation of pixels. It is
exported once, compared with the torch network, and kept under a name made of all that; later processes run it without
torch. Each graph has a folder of its own in the cache, which appears under its final name only when it is complete: of
several processes that export at the same time the first to finish wins, the others take its graph.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from pyimgano.core.cache import cache_dir, describe_cached, verify_cached
from pyimgano.core.errors import MissingDependencyError, PyimganoError, WeightsError
from pyimgano.core.files import dumps_json
from pyimgano.core.plugins import installed
from pyimgano.models.backbones import Backbone

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.models.networks import PixelNetwork

__all__ = ["GraphKey", "export_graph", "find_graph", "keep_graph", "open_session", "to_onnx"]

logger = logging.getLogger(__name__)

GRAPH_VERSION = 1
"""Changed when the same key would give another graph."""

OPSET = 17
TOLERANCE = 1e-5
INPUT = "pixels"
FILE = "features.onnx"


class GraphKey:
    """What a graph is made of, and thereby its name in the cache.

    Parameters
    ----------
    backbone : Backbone
    layers : sequence of str
    input_size : (int, int)
    weights_sha256 : str
    """

    def __init__(
        self, backbone: Backbone, layers: Sequence[str], input_size: tuple[int, int], weights_sha256: str
    ) -> None:
        self.facts: dict[str, Any] = {
            "graph_version": GRAPH_VERSION,
            "backbone": backbone.name,
            "layers": list(layers),
            "input_size": list(input_size),
            "mean": list(backbone.mean),
            "std": list(backbone.std),
            "weights_sha256": weights_sha256,
        }

    @property
    def folder(self) -> Path:
        """The graph's folder in the cache."""
        digest = hashlib.sha256(dumps_json(self.facts).encode("utf-8")).hexdigest()
        plain = str(self.facts["backbone"]).replace("/", "-")
        return cache_dir("graphs") / f"{plain}-{digest[:20]}"


def find_graph(key: GraphKey) -> Optional[Path]:
    """Return the cached graph, or None.

    Raises
    ------
    WeightsError
        When it is there and is not what its sidecar says.
    """
    path = key.folder / FILE
    if not path.is_file():
        return None
    record = verify_cached(path)
    if {name: record.get(name) for name in key.facts} != key.facts:
        raise WeightsError(
            "the sidecar of the cached graph describes another graph",
            where=str(path),
            hint="delete its folder; the graph is exported again",
        )
    return path


def keep_graph(key: GraphKey, graph: bytes) -> Optional[Path]:
    """Put an exported graph into the cache and return its path; None, with a warning, where that cannot be written."""
    import torch

    target = key.folder
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".export-"))
    except OSError as error:
        logger.warning(
            "the exported graph cannot be kept and will be exported again: %s: %s", target.parent, error.strerror
        )
        return None
    try:
        with open(temporary / FILE, "wb") as stream:
            stream.write(graph)
            stream.flush()
            os.fsync(stream.fileno())
        describe_cached(
            temporary / FILE, model=str(key.facts["backbone"]), version=f"torch {torch.__version__}", **key.facts
        )
        os.chmod(temporary, 0o755)  # mkdtemp made it private; the cache may be shared
        try:
            os.rename(temporary, target)
        except OSError:
            if not (target / FILE).is_file():
                raise
            # Another process finished first: its graph is as good.
    except OSError as error:
        logger.warning("the exported graph cannot be kept and will be exported again: %s: %s", target, error.strerror)
        return None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return find_graph(key)


def to_onnx(
    network: nn.Module,
    pixels: np.ndarray,
    *,
    input_name: str,
    output_names: Sequence[str],
    metadata: Optional[Mapping[str, str]] = None,
    fold_constants: bool = True,
) -> bytes:
    """Return a network that takes one image as a graph; the sizes in it are constants.

    Parameters
    ----------
    network : Module
        In eval mode, on the CPU.
    pixels : ndarray, (1, h, w, 3) uint8
        Any image of the size that the graph takes.
    input_name : str
    output_names : sequence of str
        In the order of what the network returns; those beyond it are left out.
    metadata : mapping of str to str, optional
        Properties of the graph.
    fold_constants : bool
        Whether torch computes what depends on weights alone. A runtime does so too when it opens the graph; a file in
        which it is done may hold a large constant in several forms.

    Raises
    ------
    MissingDependencyError
        When ``onnx`` or ``onnxruntime`` is not installed.
    PyimganoError
        When torch cannot export the network.
    """
    import io

    for module in ("onnx", "onnxruntime"):
        if not installed(module):
            raise MissingDependencyError(
                f"exporting a graph needs {module!r}", hint='pip install "pyimgano-models[onnx]"'
            )
    import torch

    options: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the other exporter needs onnxscript, and is an order of magnitude slower
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter comments on itself, and on sizes becoming constants: they are
        returned = network(torch.from_numpy(pixels))
        count = len(returned) if isinstance(returned, (tuple, list)) else 1
        try:
            torch.onnx.export(
                network,
                (torch.from_numpy(pixels),),
                buffer,
                input_names=[input_name],
                output_names=list(output_names)[:count],
                opset_version=OPSET,
                do_constant_folding=fold_constants,
                **options,
            )
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            raise PyimganoError(
                f"torch cannot export this network: {str(error).strip().splitlines()[0]}", hint='runtime = "torch"'
            ) from error
        if network.training or any(module.training for module in network.modules()):
            raise PyimganoError("the exporter left the network in train mode", hint='runtime = "torch"')
    if not metadata:
        return buffer.getvalue()
    import onnx

    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, dict(metadata))
    graph: bytes = model.SerializeToString()
    return graph


def export_graph(network: PixelNetwork, layers: Sequence[str], input_size: tuple[int, int]) -> bytes:
    """Export a network for one image of a fixed size, and make sure that the graph gives the network's features.

    Returns
    -------
    bytes
        The graph. Input ``pixels`` (1, h, w, 3) uint8; outputs named as the layers, (1, C, h', w') float32.

    Raises
    ------
    MissingDependencyError
        When ``onnx`` or ``onnxruntime`` is not installed.
    PyimganoError
        When the network cannot be exported, or the graph's features differ by more than 1e-5 relative.
    """
    import torch

    height, width = input_size
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    pixels[:, : height // 2] = np.linspace(0, 255, width, dtype=np.uint8)[:, None]
    graph = to_onnx(network, pixels, input_name=INPUT, output_names=layers)
    with torch.inference_mode():
        expected = [output.numpy() for output in network(torch.from_numpy(pixels))]
    for layer, ours, theirs in zip(layers, open_session(graph, threads=1).run(list(layers), {INPUT: pixels}), expected):
        difference = float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))
        if ours.shape != theirs.shape or not difference <= TOLERANCE:
            raise PyimganoError(
                f"the exported graph gives other features than torch: layer {layer} differs by {difference:.2g}",
                allowed=f"a relative difference up to {TOLERANCE:g}",
                hint='runtime = "torch"',
            )
    return graph


def open_session(graph: Any, *, threads: int) -> Any:
    """Return an onnxruntime session of a graph (bytes or path).

    Its threads sleep between tasks rather than spin: spinning took twice the processor time here and slowed down
    everything beside it, for no gain in latency that could be measured on a machine that does other work, too.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = str(graph) if isinstance(graph, Path) else graph
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
