"""What a stranger's ONNX file holds, read without loading it, and without the package ``onnx``.

onnxruntime reads whatever files a graph names as external data, and runs whatever operators are registered. So a graph
is looked through before it is given to it: its weights must lie in it, and its operators must be those of the standard.
The file is walked in the wire format of protocol buffers; weights are skipped over, not copied.

Field numbers are those of ``onnx.proto`` (ONNX IR version 3 and later).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

from pyimgano.core.errors import CheckpointError

__all__ = ["STANDARD_DOMAINS", "check_graph", "graph_properties"]

STANDARD_DOMAINS = ("", "ai.onnx")
"""Domains of operators that every ONNX runtime knows."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 16

_MODEL_OPSETS, _MODEL_GRAPH, _MODEL_PROPERTIES, _MODEL_TRAINING, _MODEL_FUNCTIONS = 8, 7, 14, 20, 25
_PROPERTY_KEY, _PROPERTY_VALUE = 1, 2
_GRAPH_NODES, _GRAPH_TENSORS, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTES, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_SPARSE_TENSORS = (1, 2)
_OPSET_DOMAIN = 1


@dataclass
class _Found:
    external: bool = False
    domains: set[str] = field(default_factory=set)
    graphs: int = 0


def check_graph(graph: bytes, *, where: str) -> None:
    """Refuse an ONNX file that is none, or that needs other files or other operators.

    Raises
    ------
    CheckpointError
        When it has external data, operators of another domain, functions of its own or a training part, or is no ONNX
        file.
    """
    found = _Found()
    try:
        for number, value in _fields(memoryview(graph)):
            if number == _MODEL_GRAPH:
                _walk_graph(_message(value), found, 0)
            elif number == _MODEL_OPSETS:
                found.domains.update(_text(part) for key, part in _fields(_message(value)) if key == _OPSET_DOMAIN)
            elif number in (_MODEL_FUNCTIONS, _MODEL_TRAINING):
                what = "functions of its own" if number == _MODEL_FUNCTIONS else "a training part"
                raise CheckpointError(f"the graph has {what}", where=where, allowed="standard operators")
    except (IndexError, ValueError) as error:
        raise CheckpointError(f"is no ONNX file: {error}", where=where) from error
    if not found.graphs:
        raise CheckpointError("is no ONNX file: it holds no graph", where=where)
    if found.external:
        raise CheckpointError("the graph's weights lie in other files", where=where, allowed="weights in the graph")
    strange = sorted(found.domains - set(STANDARD_DOMAINS))
    if strange:
        raise CheckpointError(
            f"the graph needs operators of {strange[0][:80]!r}", where=where, allowed="operators of the ONNX standard"
        )


def graph_properties(graph: bytes) -> dict[str, str]:
    """Return the properties that an ONNX file has of its own, key → value; of a file that :func:`check_graph` took."""
    found = {}
    for number, value in _fields(memoryview(graph)):
        if number == _MODEL_PROPERTIES:
            parts = dict(_fields(_message(value)))
            found[_text(parts.get(_PROPERTY_KEY, memoryview(b"")))] = _text(parts.get(_PROPERTY_VALUE, memoryview(b"")))
    return found


def _walk_graph(data: memoryview, found: _Found, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("graphs are nested too deep")
    found.graphs += 1
    for number, value in _fields(data):
        if number == _GRAPH_NODES:
            _walk_node(_message(value), found, depth)
        elif number == _GRAPH_TENSORS:
            _walk_tensor(_message(value), found)
        elif number == _GRAPH_SPARSE:
            _walk_sparse(_message(value), found)


def _walk_node(data: memoryview, found: _Found, depth: int) -> None:
    for number, value in _fields(data):
        if number == _NODE_DOMAIN:
            found.domains.add(_text(value))
        elif number == _NODE_ATTRIBUTES:
            for key, part in _fields(_message(value)):
                if key in _ATTRIBUTE_TENSORS:
                    _walk_tensor(_message(part), found)
                elif key in _ATTRIBUTE_GRAPHS:
                    _walk_graph(_message(part), found, depth + 1)
                elif key in _ATTRIBUTE_SPARSE:
                    _walk_sparse(_message(part), found)


def _walk_sparse(data: memoryview, found: _Found) -> None:
    for number, value in _fields(data):
        if number in _SPARSE_TENSORS:
            _walk_tensor(_message(value), found)


def _walk_tensor(data: memoryview, found: _Found) -> None:
    for number, value in _fields(data):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            found.external = True


def _message(value: Union[int, memoryview]) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")
    return value


def _text(value: Union[int, memoryview]) -> str:
    return bytes(_message(value)).decode("utf-8", "backslashreplace")


def _fields(data: memoryview) -> Iterator[tuple[int, Union[int, memoryview]]]:
    """Yield (field number, value) of a message: a number, or the bytes of what has a length."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if size > end - position:
            raise ValueError("it is cut off")
        if kind == _BYTES:
            yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
