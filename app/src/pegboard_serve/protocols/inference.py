"""One request of the Open Inference Protocol: from its tensors to rows, and from predictions to its answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

from pegboard.errors import Problem
from pegboard.predictor import Answers
from pegboard.signature import Signature
from pegboard_serve.answer import Call, Reply, Request
from pegboard_serve.body import check_rows
from pegboard_serve.loaded import Loaded
from pegboard_serve.protocols import plain
from pegboard_serve.protocols.native import to_json
from pegboard_serve.protocols.tensors import (
    Malformed,
    Parametrised,
    Tensor,
    elements,
    split_binary,
    to_bytes,
)
from pegboard_serve.refused import Refused, bad_body
from pegboard_serve.rows import Row


class Wanted(Parametrised, kw_only=True):
    """An output that a request asks for."""

    name: str


class Inference(Parametrised, kw_only=True):
    """A request's JSON; what else it holds is ignored, as its parameters are that mean nothing here."""

    inputs: list[Tensor]
    id: str | None = None
    outputs: list[Wanted] | None = None


class Output(NamedTuple):
    """A tensor that a model answers with: ``width`` elements for each row; ``classes`` are its columns' labels."""

    name: str
    datatype: str
    width: int = 1
    classes: tuple[str, ...] = ()


_read = plain.BodyReader(Inference).read


class Exchange:
    """A request and its answer. ``json_length`` is how much of the body is JSON where binary tensors follow it.

    It is set for the request, from its header, and then for the answer, for its header.
    """

    route = "/v2/models/{name}/infer"

    def __init__(self, json_length: str | None) -> None:
        self.json_length = json_length

    def decode(self, model: Loaded, request: Request) -> Call:
        """Read the request's tensors as rows."""
        check_served(model, **request.arguments)
        text, binary = split_binary(request.body, self.json_length)
        inference = _read(text, model.reader.max_depth)
        _check(inference, model)
        return Call(_rows(model, inference.inputs, binary), inference)

    def encode(self, model: Loaded, call: Call, answers: Answers) -> bytes:
        """Write the outputs that are wanted."""
        inference: Inference = call.echo
        answer: dict[str, Any] = {"model_name": model.version.name, "model_version": str(model.version.number)}
        if inference.id is not None:
            answer["id"] = inference.id
        tensors, binary = [], []
        for output, in_bytes in _wanted(inference, outputs(model)):
            tensors.append(_tensor(output, answers))
            if in_bytes:
                binary.append(to_bytes(output.datatype, tensors[-1].pop("data")))
                tensors[-1]["parameters"] = {"binary_data_size": len(binary[-1])}
        text = to_json({**answer, "outputs": tensors})
        self.json_length = str(len(text)) if binary else None
        return b"".join((text, *binary))

    def refuse(self, refused: Refused) -> Reply:
        """Write the protocol's error."""
        self.json_length = None
        return error_reply(refused)


def error_reply(refused: Refused) -> Reply:
    """Return the protocol's error: one text. Rows that do not fit are a bad request here."""
    unfit = refused.status == HTTPStatus.UNPROCESSABLE_ENTITY
    status = HTTPStatus.BAD_REQUEST if unfit else refused.status
    return Reply(status, "application/json", to_json({"error": plain.one_text(refused)}), refused.headers)


def check_served(model: Loaded, name: str, version: str | None = None) -> None:
    """Raise :class:`Refused` with status 404 unless this model, and this version of it if one is named, serves."""
    served = model.version
    if name != served.name or version not in (None, str(served.number)):
        asked = name[:100] if version is None else f"{name[:100]}/{version[:20]}"
        raise Refused(HTTPStatus.NOT_FOUND, f"{asked} is not served here: {served.name}/{served.number} is")


def outputs(model: Loaded) -> list[Output]:
    """Return what the model answers with: ``predict``, and ``probabilities`` where it knows them."""
    classes = model.bundle.signature.classes
    if not classes:
        return [Output("predict", "FP64")]
    datatype = {str: "BYTES", bool: "BOOL", int: "INT64"}[type(classes[0])]
    found = [Output("predict", datatype)]
    if hasattr(model.predictor.pipeline, "predict_proba"):
        found.append(Output("probabilities", "FP64", len(classes), tuple(map(str, classes))))
    return found


def _tensor(output: Output, answers: Answers) -> dict[str, Any]:
    data = answers.values
    if output.classes:
        data = [value for row in answers.probabilities or () for value in row]
    shape = [len(answers.values), output.width]
    return {"name": output.name, "datatype": output.datatype, "shape": shape, "data": data}


def _wanted(inference: Inference, known: list[Output]) -> list[tuple[Output, bool]]:
    """Return the outputs that are asked for, by default all, and whether as bytes."""
    in_bytes = inference.parameter("binary_data_output") is True
    if not inference.outputs:
        return [(output, in_bytes) for output in known]
    named = {output.name: output for output in known}
    return [(named[w.name], w.parameter("binary_data", in_bytes) is True) for w in inference.outputs]


def _check(inference: Inference, model: Loaded) -> None:
    if problem := inference.content_type_problem():
        raise bad_body(f"the request {problem}")
    names, known = [wanted.name for wanted in inference.outputs or ()], [output.name for output in outputs(model)]
    if not set(names) <= set(known) or len(set(names)) < len(names):
        raise bad_body(f"the outputs may be {' and '.join(known)}, each once")
    try:
        to_json(inference.id)
    except UnicodeEncodeError:
        raise bad_body("id must be valid Unicode: it holds a lone surrogate") from None


def _rows(model: Loaded, tensors: list[Tensor], binary: bytes | None) -> list[Row]:
    counts = {tensor.shape[0] if tensor.shape else 0 for tensor in tensors}
    if len(counts) != 1 or min(counts) < 1:
        raise bad_body("the inputs must have the same number of rows, at least one")
    check_rows(max(counts), model.reader.max_rows)
    parts, signature = _parts(tensors, binary), model.bundle.signature
    order = plain.positional_names(signature)
    if len(tensors) == 1 and order and tensors[0].name not in (*order, *signature.keys):
        return plain.convert_rows(model, order, _matrix(tensors[0], parts[0], len(order)))
    columns = _columns(signature, tensors, parts)
    return plain.convert_rows(model, [tensor.name for tensor in tensors], zip(*columns, strict=True))


def _parts(tensors: list[Tensor], binary: bytes | None) -> list[bytes | None]:
    """Return each tensor's part of the binary data, which lie in the order of the tensors."""
    at, parts = 0, list[bytes | None]()
    for tensor in tensors:
        size = tensor.parameter("binary_data_size")
        if size is not None and (binary is None or type(size) is not int or not 0 <= size <= len(binary) - at):
            raise bad_body(f"input {tensor.name[:100]} has a binary_data_size that the body does not hold")
        parts.append(None if binary is None or size is None else binary[at : at + size])
        at += size or 0
    if at < len(binary or b""):
        raise bad_body("the body holds more binary data than its inputs say")
    return parts


def _matrix(tensor: Tensor, part: bytes | None, width: int) -> list[tuple[Any, ...]]:
    """Return the rows of one tensor that holds all features: what clients of models without named columns send."""
    try:
        values = iter(elements(tensor, part, "number", width))
    except Malformed as problem:
        raise bad_body(f"input {tensor.name[:100]} {problem}") from None
    return list(zip(*[values] * width, strict=True))


def _columns(signature: Signature, tensors: list[Tensor], parts: list[bytes | None]) -> list[list[Any]]:
    problems = plain.column_problems([tensor.name for tensor in tensors], signature)
    kinds, columns = {feature.name: feature.kind for feature in signature.features}, []
    for tensor, part in zip(tensors, parts, strict=True):
        try:
            columns.append(elements(tensor, part, kinds.get(tensor.name)))
        except Malformed as problem:
            problems.append(Problem(None, tensor.name, str(problem)))
    plain.refuse_columns(problems)
    return columns
