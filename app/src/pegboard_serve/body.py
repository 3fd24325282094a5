"""From a body's bytes to plain JSON values, refusing what is no JSON: the slow reading, which says what is wrong.

Of two equal keys of one object the last counts, here as in msgspec, so on every route.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from itertools import accumulate
from typing import Any, NoReturn

from pegboard_serve.refused import Refused, bad_body

#: A string, or what is left of one at the end: each byte is looked at once, whatever a body holds.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+["\\]?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {91: 1, 123: 1, 93: -1, 125: -1}


class _NoNumber(ValueError):
    pass


def parse_json(body: bytes, max_depth: int) -> Any:
    """Return what the body says; raises :class:`Refused` with status 400."""
    if deepest(body) > max_depth:
        raise bad_body(f"the body is nested deeper than {max_depth} levels")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise bad_body(f"the body is not UTF-8: byte {error.start}") from None
    except RecursionError:
        raise bad_body("the body is nested too deeply") from None
    except (json.JSONDecodeError, _NoNumber) as error:
        raise bad_body(f"the body is not JSON: {error}") from None
    except ValueError:  # Python's own limit for integers, and its advice is not for clients
        raise bad_body("the body holds an integer of too many digits") from None


def parse_records(body: bytes, max_rows: int, max_depth: int) -> list[Any]:
    """Return the body's rows: a JSON list, or one object as a list of one; what they hold is the signature's matter."""
    data = parse_json(body, max_depth)
    if isinstance(data, dict):
        data = [data]
    if not isinstance(data, list) or not data:
        raise bad_body("the body must be a JSON list of at least one object, or one object")
    check_rows(len(data), max_rows)
    return data


def check_rows(rows: int, max_rows: int) -> None:
    """Raise :class:`Refused` with status 413 if a request has more rows than allowed."""
    if rows > max_rows:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{rows} rows are more than the {max_rows} allowed")


def check_type(content_type: str, *allowed: str) -> str:
    """Return the media type without its parameters; raise :class:`Refused` with status 415 if it is another."""
    given = content_type if content_type in allowed else content_type.partition(";")[0].strip().lower()
    if given not in allowed:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send Content-Type: {' or '.join(allowed)}")
    return given


def deepest(body: bytes) -> int:
    """Return how deep lists and objects are nested, counted before anything is built from them."""
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _refuse_constant(constant: str) -> NoReturn:
    raise _NoNumber(f"{constant} is not a JSON number (null stands for a missing value)")
