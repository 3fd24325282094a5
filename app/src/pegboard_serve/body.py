"""From a request's bytes to records, refusing what is no JSON that a row could be."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NoReturn


class BadBody(Exception):
    """A body that cannot be read as rows; ``status`` is the answer's."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class _NoNumber(ValueError):
    pass


def parse_records(body: bytes, mimetype: str, max_rows: int) -> list[Any]:
    """Return the body's rows: a JSON list, or one object as a list of one.

    Raises :class:`BadBody`. What the rows hold is for the signature to judge.
    """
    if mimetype != "application/json":
        raise BadBody("send Content-Type: application/json", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadBody(f"the body is not UTF-8: byte {error.start}") from None
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except (json.JSONDecodeError, _NoNumber) as error:
        raise BadBody(f"the body is not JSON: {error}") from None
    except ValueError:  # Python's own limit for integers, and its advice is not for clients
        raise BadBody("the body holds an integer of too many digits") from None
    if isinstance(data, dict):
        data = [data]
    if not isinstance(data, list) or not data:
        raise BadBody("the body must be a JSON list of at least one object, or one object")
    if len(data) > max_rows:
        raise BadBody(f"{len(data)} rows are more than the {max_rows} allowed", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return data


def _refuse_constant(constant: str) -> NoReturn:
    raise _NoNumber(f"{constant} is not a JSON number (null stands for a missing value)")
