"""Changes ONNX graphs that anomalib exported: raw outputs in place of normalised ones, and pyimgano's signature."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pyimgano.core.errors import CheckpointError

__all__ = ["IMAGE_SCORE", "PIXEL_MAP", "batch_size", "input_shape", "output_name", "raw_graph", "with_image_input"]

IMAGE_SCORE, PIXEL_MAP = "pred_score", "anomaly_map"
_PREFIX = "pyimgano_"
_LIMITS = ("Clip", "Max", "Min")


def input_shape(model: Any) -> tuple[Optional[int], Optional[int]]:
    """Return (height, width) of a graph's input, (N, 3, H, W); None for a side that is free."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    if len(model.graph.input) != 1 or len(dims) != 4:
        raise CheckpointError("takes other inputs than images, (N, 3, H, W): it is no graph that anomalib exported")
    height, width = (int(dim.dim_value) if dim.HasField("dim_value") else None for dim in dims[2:])
    return height, width


def batch_size(model: Any) -> int:
    """Return how many images a graph takes at once: 1, unless the exporter has fixed another number."""
    dim = model.graph.input[0].type.tensor_type.shape.dim[0]
    return int(dim.dim_value) if dim.HasField("dim_value") else 1


class _Graph:
    """Who makes which tensor."""

    def __init__(self, graph: Any) -> None:
        self.makers = {output: node for node in graph.node for output in node.output}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}

    def constant(self, name: str) -> bool:
        """Tell whether a tensor follows from no input."""
        if name == "" or name in self.constants:
            return True
        node = self.makers.get(name)
        return node is not None and all(self.constant(given) for given in node.input)

    def value(self, name: str) -> Optional[float]:
        from onnx import numpy_helper

        tensor = self.constants.get(name)
        node = self.makers.get(name)
        if tensor is None and node is not None and node.op_type == "Constant":
            tensor = next((item.t for item in node.attribute if item.name == "value"), None)
        if tensor is None:
            return None
        array = numpy_helper.to_array(tensor)
        return float(array.reshape(-1)[0]) if array.size == 1 else None

    def variable_input(self, node: Any) -> Optional[str]:
        """Return the only input of a node that is no constant, or None."""
        names = [name for name in node.input if not self.constant(name)]
        return names[0] if len(names) == 1 else None

    def raw(self, name: str) -> str:
        """Return the tensor that an output was before anomalib's post-processor normalised it.

        Of a graph that was exported without a post-processor, or whose post-processor does not normalise, it is the
        output itself.
        """
        node = self.makers.get(name)
        if node is not None and node.op_type == "Where" and self.constant(node.input[0]):
            # where(there are extremes, normalised, raw): what 2.6 and 2.7 export
            return str(node.input[2])
        limited = False
        while node is not None and node.op_type in _LIMITS:
            limited = True
            inner = self.variable_input(node)
            node = None if inner is None else self.makers.get(inner)
        if not limited:
            return name
        # limit((raw - threshold) / range + 0.5): what earlier releases export
        if node is not None and node.op_type == "Add" and 0.5 in [self.value(given) for given in node.input]:
            inner = self.variable_input(node)
            node = None if inner is None else self.makers.get(inner)
            if node is not None and node.op_type == "Div":
                node = self.makers.get(node.input[0])
                if node is not None and node.op_type == "Sub" and self.constant(node.input[1]):
                    return str(node.input[0])
        raise CheckpointError(
            f"its output {name!r} is limited in a way that is not anomalib's normalisation, so that raw scores cannot "
            "be told from it",
            hint="take the .ckpt of the training in its place",
        )


def raw_graph(model: Any) -> Any:
    """Return a copy of a graph whose outputs are raw: ``pred_score`` (N,) and ``anomaly_map``, as far as it has them.

    Raises
    ------
    CheckpointError
        When it is not one that anomalib exported.
    """
    from onnx import TensorProto, helper

    outputs = {value.name: value for value in model.graph.output}
    kept = [name for name in (IMAGE_SCORE, PIXEL_MAP) if name in outputs]
    if not kept:
        raise CheckpointError(
            f"its outputs are {', '.join(outputs)}: it is no graph that anomalib 2 exported",
            allowed=f"{IMAGE_SCORE}, {PIXEL_MAP}",
        )
    found = _Graph(model.graph)
    changed = type(model)()
    changed.CopyFrom(model)
    del changed.graph.output[:]
    for name in kept:
        # A tensor that is no output yet needs a name of its own: the old outputs stay, as inner tensors.
        changed.graph.node.append(helper.make_node("Identity", [found.raw(name)], [_PREFIX + name]))
        shape = [
            dim.dim_value if dim.HasField("dim_value") else None for dim in outputs[name].type.tensor_type.shape.dim
        ]
        changed.graph.output.append(helper.make_tensor_value_info(_PREFIX + name, TensorProto.FLOAT, shape))
    return changed


def output_name(name: str) -> str:
    """Return what :func:`raw_graph` calls an output."""
    return _PREFIX + name


def with_image_input(model: Any, size: tuple[int, int], map_shape: Optional[tuple[int, int]]) -> Any:
    """Return a raw graph with the signature of :class:`pyimgano.core.contracts.Exportable`.

    Parameters
    ----------
    model : onnx.ModelProto
        Of :func:`raw_graph`.
    size : (int, int)
        (height, width) of the images that it will take.
    map_shape : (int, int) or None
        Of its map at that size; None where it has none.
    """
    from onnx import TensorProto, helper, numpy_helper

    changed = type(model)()
    changed.CopyFrom(model)
    graph = changed.graph
    inner = graph.input[0].name
    del graph.input[:]
    del graph.output[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, [1, *size, 3]))
    constants = {
        "white": np.array(255, dtype=np.float32),
        "copies": np.array([batch_size(model), 1, 1, 1], dtype=np.int64),
        "first": np.array([0], dtype=np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(array, _PREFIX + name) for name, array in constants.items())
    first = [
        helper.make_node("Cast", ["image"], [f"{_PREFIX}float"], to=TensorProto.FLOAT),
        helper.make_node("Div", [f"{_PREFIX}float", f"{_PREFIX}white"], [f"{_PREFIX}pixels"]),
        helper.make_node("Transpose", [f"{_PREFIX}pixels"], [f"{_PREFIX}planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Tile", [f"{_PREFIX}planes", f"{_PREFIX}copies"], [inner]),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(first + rest)
    made = {output for node in rest for output in node.output}
    wanted: list[tuple[str, str, list[int]]] = []
    if map_shape is not None:
        wanted.append((output_name(PIXEL_MAP), "map", [1, *map_shape]))
    if output_name(IMAGE_SCORE) in made:
        wanted.append((output_name(IMAGE_SCORE), "score", [1]))
    for source, name, shape in wanted:
        graph.initializer.append(numpy_helper.from_array(np.array(shape, dtype=np.int64), f"{_PREFIX}{name}_shape"))
        graph.node.append(helper.make_node("Gather", [source, f"{_PREFIX}first"], [f"{_PREFIX}{name}_row"], axis=0))
        graph.node.append(helper.make_node("Reshape", [f"{_PREFIX}{name}_row", f"{_PREFIX}{name}_shape"], [name]))
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    if output_name(IMAGE_SCORE) not in made:
        graph.node.append(helper.make_node("ReduceMax", ["map"], [f"{_PREFIX}highest"], keepdims=0))
        graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), f"{_PREFIX}one"))
        graph.node.append(helper.make_node("Reshape", [f"{_PREFIX}highest", f"{_PREFIX}one"], ["score"]))
        graph.output.append(helper.make_tensor_value_info("score", TensorProto.FLOAT, [1]))
    helper.set_model_props(changed, {"pyimgano.resize": "area"})
    return changed
