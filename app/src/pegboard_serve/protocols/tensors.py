"""Tensors of the Open Inference Protocol: columns of a table in JSON, or in Triton's binary form after it.

Sources: the protocol's REST specification (KServe) and Triton's *binary tensor data* extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from math import isnan
from typing import Any

import msgspec
import numpy as np

from pegboard.specs import Kind
from pegboard_serve.refused import bad_body

#: How the elements of each datatype lie in a binary tensor (BYTES have their length before each).
_LAYOUTS = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BOOL": "?",
}
_NUMBERS = frozenset(_LAYOUTS) - {"BOOL"}
_FITTING: dict[Kind | None, frozenset[str]] = {
    "number": _NUMBERS,
    "integer": _NUMBERS,
    "boolean": frozenset({"BOOL"}),
    "category": frozenset({"BYTES"}),
    None: _NUMBERS | {"BOOL", "BYTES"},
}
#: What the metadata says of a column of each kind.
DATATYPES: dict[Kind, str] = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES"}
#: The content types of MLServer's codecs that mean what the tensor says anyway.
_CONTENT_TYPES = (None, "np", "pd", "str")
_LENGTH = 4


class Parametrised(msgspec.Struct, kw_only=True):
    """What may have parameters; clients write null for none."""

    parameters: dict[str, Any] | None = None

    def parameter(self, name: str, default: Any = None) -> Any:
        """Return a parameter's value."""
        return (self.parameters or {}).get(name, default)

    def content_type_problem(self) -> str | None:
        """Say what is wrong with a content type that would change what the data mean (``None``: nothing)."""
        known = self.parameter("content_type") in _CONTENT_TYPES
        return None if known else "has a content_type that is not supported: np, pd and str are"


class Tensor(Parametrised, kw_only=True):
    """A tensor of a request; ``data`` is flat or nested, or stands in the binary part."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None


class Malformed(ValueError):
    """What is wrong with one tensor."""


def elements(tensor: Tensor, raw: bytes | None, kind: Kind | None, width: int = 1) -> list[Any]:
    """Return the elements of a tensor of shape [rows], [rows, 1] or [rows, ``width``], row by row.

    ``raw`` is its binary part, if it has one. NaN there becomes ``None``, as null is in JSON. A key column has no
    kind. Raises :class:`Malformed`.
    """
    if problem := tensor.content_type_problem():
        raise Malformed(problem)
    if tensor.datatype not in _FITTING[kind]:
        wanted = f" where {DATATYPES[kind]} is right" if kind else ", which is not supported"
        raise Malformed(f"has datatype {tensor.datatype[:20]}{wanted}")
    if tensor.shape[1:] != [width] and (width != 1 or len(tensor.shape) != 1):
        raise Malformed(f"has a shape other than [rows, {width}]{' or [rows]' * (width == 1)}")
    found = _of_json(tensor.data, width) if raw is None else _of_bytes(tensor.datatype, raw)
    if len(found) != tensor.shape[0] * width:
        raise Malformed(f"has {len(found)} elements, which is not what its shape says")
    return found


def _of_json(data: list[Any] | None, width: int) -> list[Any]:
    if data is None:
        raise Malformed("has neither data nor a binary_data_size")
    if not data or type(data[0]) is not list:
        return data
    if any(type(row) is not list or len(row) != width for row in data):
        raise Malformed(f"has nested data that are not rows of {width}")
    return list(chain.from_iterable(data))


def _of_bytes(datatype: str, raw: bytes) -> list[Any]:
    if datatype == "BYTES":
        return list(_texts(raw))
    layout = np.dtype(_LAYOUTS[datatype])
    if len(raw) % layout.itemsize:
        raise Malformed(f"has {len(raw)} bytes, which are no whole number of {datatype}")
    if datatype == "BOOL":
        return [byte != 0 for byte in raw]
    values: list[Any] = np.frombuffer(raw, layout).tolist()
    return [None if isnan(value) else value for value in values] if layout.kind == "f" else values


def _texts(raw: bytes) -> Iterator[str]:
    at = 0
    while at < len(raw):
        start = at + _LENGTH
        at = start + int.from_bytes(raw[at:start], "little")
        if at > len(raw):
            raise Malformed("ends within an element")
        try:
            yield raw[start:at].decode()
        except UnicodeDecodeError:
            raise Malformed("has an element that is not UTF-8") from None


def to_bytes(datatype: str, values: Sequence[Any]) -> bytes:
    """Return values in the binary form."""
    if datatype != "BYTES":
        return np.array(values, _LAYOUTS[datatype]).tobytes()
    texts = [value.encode() for value in values]
    return b"".join(part for text in texts for part in (len(text).to_bytes(_LENGTH, "little"), text))


def split_binary(body: bytes, json_length: str | None) -> tuple[bytes, bytes | None]:
    """Return a body's JSON, and the binary data after it if the header gives the length of the JSON."""
    if json_length is None:
        return body, None
    if not re.fullmatch("[0-9]{1,18}", json_length) or int(json_length) > len(body):
        raise bad_body("Inference-Header-Content-Length is no length within the body")
    return body[: int(json_length)], body[int(json_length) :]
