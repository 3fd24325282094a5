"""MLflow's scoring protocol, as its server (3.x) speaks it; on port 8080 it is Amazon SageMaker's contract too."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Blueprint, Response
from werkzeug.http import parse_options_header

from pegboard.predictor import Answers
from pegboard.tables import read_csv
from pegboard_serve import operations, service
from pegboard_serve.answer import Call, Reply, Request
from pegboard_serve.body import check_rows, check_type
from pegboard_serve.loaded import Loaded
from pegboard_serve.protocols import plain
from pegboard_serve.protocols.native import to_json
from pegboard_serve.refused import Refused, bad_body
from pegboard_serve.rows import Row

if TYPE_CHECKING:
    import pandas as pd

_CODES = {
    HTTPStatus.UNPROCESSABLE_ENTITY: "INVALID_PARAMETER_VALUE",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
    HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
}


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """A table as pandas splits it."""

    columns: list[str]
    data: list[list[Any]]
    index: Any = None


class Invocation(msgspec.Struct):
    """A body, which has exactly one of the first four."""

    dataframe_split: Split | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: list[Any] | msgspec.UnsetType = msgspec.UNSET
    instances: list[Any] | dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    inputs: list[Any] | dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, Any] | None = None


_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_read = plain.BodyReader(Invocation).read


class Invocations:
    """``POST /invocations``."""

    route = "/invocations"

    def decode(self, model: Loaded, request: Request) -> Call:
        """Read rows of JSON in one of its four forms, or of CSV."""
        media_type = check_type(request.content_type, "application/json", "text/csv")
        charset = parse_options_header(request.content_type)[1].get("charset", "utf-8")
        if charset.lower() != "utf-8":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the scoring server only supports UTF-8")
        read = _rows_of_csv if media_type == "text/csv" else _rows_of_json
        return Call(read(model, request.body))

    def encode(self, model: Loaded, call: Call, answers: Answers) -> bytes:  # noqa: ARG002 - the protocol's signature
        """Write a prediction, or a label, for each row."""
        return to_json({"predictions": answers.values})

    def refuse(self, refused: Refused) -> Reply:
        """Write MLflow's error; it has a plain text for a content type that it does not take."""
        text = plain.one_text(refused)
        if refused.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return Reply(refused.status, "text/plain; charset=utf-8", text.encode(), refused.headers)
        unfit = refused.status == HTTPStatus.UNPROCESSABLE_ENTITY
        status = HTTPStatus.BAD_REQUEST if unfit else refused.status
        body = {"error_code": _CODES.get(refused.status, "BAD_REQUEST"), "message": text}
        return Reply(status, "application/json", to_json(body), refused.headers)


INVOCATIONS = Invocations()
blueprint = Blueprint("mlflow", __name__)


@blueprint.get("/ping")
def ping() -> tuple[dict[str, Any], HTTPStatus]:
    """Say whether requests should be sent here, as ``/ready`` does."""
    return operations.ready()


@blueprint.get("/version")
def version() -> Response:
    """Return the version of the server, as a bare text."""
    return Response(version_of("pegboard-serve"), content_type="text/plain; charset=utf-8")


@blueprint.post("/invocations")
def invocations() -> Response:
    """Predict."""
    return service.predict(INVOCATIONS)


def _rows_of_json(model: Loaded, body: bytes) -> list[Row]:
    invocation = _read(body, model.reader.max_depth)
    given = [form for form in _FORMS if getattr(invocation, form) is not msgspec.UNSET]
    if len(given) != 1:
        raise bad_body(f"the body must be a JSON object with exactly one of {', '.join(_FORMS)}")
    if invocation.params:
        raise bad_body(f"the model takes no params: leave out {', '.join(invocation.params)[:200]}")
    table = getattr(invocation, given[0])
    if isinstance(table, Split):
        return _table(model, table.columns, table.data)
    return _columns(model, table) if isinstance(table, dict) else _records(model, table)


def _records(model: Loaded, records: list[Any]) -> list[Row]:
    """Read objects; or lists, for a model whose features are all numbers."""
    _check_some(records)
    if type(records[0]) is not list:
        return model.reader.convert(records)
    names = plain.positional_names(model.bundle.signature)
    if names is None:
        raise bad_body("the rows must be objects with named fields: not all features are numbers")
    if not all(type(row) is list for row in records):
        raise bad_body("the rows must be all objects, or all lists")
    return _table(model, names, records)


def _columns(model: Loaded, columns: dict[str, Any]) -> list[Row]:
    """Read a list for each column; or one value for each, which is one row."""
    lists = [value for value in columns.values() if type(value) is list]
    if not lists:
        return _table(model, list(columns), [list(columns.values())])
    if len(lists) < len(columns) or len(set(map(len, lists))) > 1:
        raise bad_body("the columns must be lists of the same length")
    _check_some(lists[0])
    return _table(model, list(columns), list(zip(*lists, strict=True)))


def _table(model: Loaded, names: list[str], rows: list[Any]) -> list[Row]:
    _check_some(rows)
    check_rows(len(rows), model.reader.max_rows)
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise bad_body(f"row {number} has {len(row)} values for {len(names)} columns")
    return plain.convert_rows(model, names, rows)


def _check_some(rows: list[Any]) -> None:
    if not rows:
        raise bad_body("the body must hold at least one row")


def _rows_of_csv(model: Loaded, body: bytes) -> list[Row]:
    """Read a CSV as ``pegboard predict`` reads a file."""
    signature, most = model.bundle.signature, model.reader.max_rows
    try:
        frame = next(read_csv(body, signature, most + 1))
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise bad_body(f"the body is not a CSV with a header, in UTF-8: {error}") from None
    plain.refuse_columns(plain.column_problems(list(frame.columns), signature))
    columns = [_with_none(frame[name]) for name in frame.columns]
    return _table(model, list(frame.columns), list(zip(*columns, strict=True)))


def _with_none(column: pd.Series[Any]) -> list[Any]:
    missing = column.isna().tolist()
    return [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]
