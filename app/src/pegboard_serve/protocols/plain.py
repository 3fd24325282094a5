"""What other people's protocols share: a body of a known shape, columns that become records, errors in one text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from pegboard.errors import Problem, SignatureError
from pegboard.signature import Signature
from pegboard_serve.body import parse_json
from pegboard_serve.loaded import Loaded
from pegboard_serve.refused import Refused, bad_body, misfit
from pegboard_serve.rows import Row

#: A protocol whose error is one text names this many problems and counts the others.
MOST_NAMED = 50
#: No problem takes more characters than this: a client may give a field any name.
LONGEST_NAMED = 300

T = TypeVar("T")
_FAILED = (msgspec.MsgspecError, RecursionError, UnicodeError)


class BodyReader(Generic[T]):
    """Reads JSON bodies of one shape.

    A body that msgspec refuses is read a second, slower time, which says what is wrong in the words of every other
    route. That reading decides: what it accepts is answered.
    """

    def __init__(self, shape: type[T]) -> None:
        self._shape = shape
        self._decode = msgspec.json.Decoder(shape).decode

    def read(self, body: bytes, max_depth: int) -> T:
        """Return what the body says; raises :class:`~pegboard_serve.refused.Refused` with status 400."""
        try:
            return self._decode(body)
        except _FAILED:
            plain = parse_json(body, max_depth)
        try:
            return msgspec.convert(plain, self._shape)
        except _FAILED as error:
            raise bad_body(f"the body is not what this route takes: {error}") from None


def convert_rows(model: Loaded, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Row]:
    """Return checked rows of a table whose columns have these names; every row is as long as there are names."""
    refuse_columns(column_problems(names, model.bundle.signature))
    return model.reader.convert([dict(zip(names, row, strict=True)) for row in rows])


def column_problems(names: Sequence[str], signature: Signature) -> list[Problem]:
    """Name each column that is missing, unknown or there twice, once instead of once for each row."""
    given, features = Counter(names), {feature.name for feature in signature.features}
    found = [Problem(None, name, "comes more than once") for name, times in given.items() if times > 1]
    if not features <= given.keys() <= features.union(signature.keys):
        # A row of nulls shows what the signature says about the names; what it says about the nulls is left out.
        about = signature.problems([dict.fromkeys(given)])
        found += [Problem(None, p.field, p.problem) for p in about if (p.field in features) != (p.field in given)]
    return found


def refuse_columns(problems: Sequence[Problem]) -> None:
    """Raise :class:`~pegboard_serve.refused.Refused` if there are any problems."""
    if problems:
        raise misfit(SignatureError(problems))


def positional_names(signature: Signature) -> list[str] | None:
    """Return the names of unnamed columns: the features in their order, if all are numbers (else ``None``).

    A table without names is told from another only by its width. Where a text or a boolean would give a mistaken order
    away, names can be asked for; tables of measurements are what such clients send.
    """
    if all(feature.kind in ("number", "integer") for feature in signature.features):
        return [feature.name for feature in signature.features]
    return None


def one_text(refused: Refused) -> str:
    """Return the detail and the first problems, with row and field, in one text of bounded length."""
    named = [str(problem)[:LONGEST_NAMED] for problem in refused.problems[:MOST_NAMED]]
    if refused.total > len(named):
        named.append(f"and {refused.total - len(named)} more")
    text = "; ".join(named)
    # A lone surrogate in a field's name cannot be written as UTF-8.
    return f"{refused.detail[:1000]}{': ' * bool(text)}{text}".encode(errors="backslashreplace").decode()
