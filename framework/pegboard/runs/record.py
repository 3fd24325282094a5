"""What is kept of a run, and where: two keys for each in the registry's store, neither ever rewritten.

``runs/<number>/started.json`` is created exclusively when a run begins, which gives the run its number;
``runs/<number>/finished.json`` holds the whole record. A run that was killed has the first of them only.
Nothing here imports more than the standard library.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pegboard.errors import RegistryError
from pegboard.leaderboard import Leaderboard
from pegboard.stores import Store, StoreAway
from pegboard.tuning import Tuning

#: ``unfinished`` runs go on still, or were killed; of ``damaged`` ones nothing but the number can be read.
Status = Literal["published", "failed", "interrupted", "unfinished", "damaged"]
STATUSES: tuple[Status, ...] = get_args(Status)

FORMAT = 1
PREFIX = "runs"
STARTED = "started.json"
FINISHED = "finished.json"
#: A run that loses this many races for a number in a row gives up; each loss means that another run has begun.
MOST_ATTEMPTS = 1000

_NUMBER = re.compile(r"[0-9]{8}")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run of an experiment. What it did not come to is empty, or ``None`` where it is a table.

    - ``name`` and ``experiment`` say what was run, ``environment`` where: python, platform, libraries, hostname,
      plugins, and the git commit of the working directory.
    - ``data``: rows, origin, fingerprint (SHA-256 of features and target; ``None`` if the table does not fit its
      signature), signature, and ``schema``: for each column its kind (a feature's; else pandas' dtype), how many
      values are missing, and its role.
    - ``tuning``: for each model that was tuned, what that has come to (:class:`pegboard.tuning.Tuning`).
    - ``candidates`` are the leaderboard's rows, best first, each with the ``parameters`` of its estimator; ``scorer``
      and ``greater_is_better`` say what the scores are. ``model`` is the winner's name.
    - ``evaluation``: the winner's recipe on the hold-out (:class:`pegboard.training.values.Evaluation`).
    - ``validation`` is the report; ``timings`` are seconds for each stage, in their order.
    - ``version`` and ``digest`` (SHA-256 of the manifest) of what was published, or ``error``: stage, type, message.

    Times are UTC, ISO 8601.
    """

    number: int
    status: Status
    name: str = ""
    started_at: str = ""
    finished_at: str = ""
    actor: str = ""
    experiment: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    validation: Mapping[str, Any] | None = None
    scorer: str = ""
    greater_is_better: bool = False
    tuning: tuple[Mapping[str, Any], ...] = ()
    candidates: tuple[Mapping[str, Any], ...] = ()
    model: str = ""
    evaluation: Mapping[str, Any] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    version: str = ""
    digest: str = ""
    error: Mapping[str, str] | None = None
    format: int = FORMAT

    @property
    def leaderboard(self) -> Leaderboard | None:
        """The comparison as far as it came; ``None`` where no candidate has finished or failed."""
        if not self.candidates:
            return None
        board = {"scorer": self.scorer, "greater_is_better": self.greater_is_better, "candidates": self.candidates}
        return Leaderboard.from_dict(board)

    @property
    def tunings(self) -> tuple[Tuning, ...]:
        """What tuning has come to, model by model."""
        return tuple(map(Tuning.from_dict, self.tuning))

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Each candidate's parameters, by its name."""
        return {candidate["name"]: candidate.get("parameters", {}) for candidate in self.candidates}

    @property
    def winner(self) -> Mapping[str, Any] | None:
        """The winner's row; ``None`` if there was none."""
        return next((c for c in self.candidates if c["name"] == self.model), None)

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return sum(self.timings.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as strict JSON has it."""
        found: dict[str, Any] = plain(asdict(self))
        return found

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored."""
        return (json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n").encode()


def plain(value: Any) -> Any:
    """Return a value as strict JSON has it: numpy's scalars as Python's, what JSON cannot say as a short text.

    Texts hold no memory addresses, so that equal values of two runs have equal texts.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return plain(value.item())
    return value if value is None or isinstance(value, bool | str) else _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, int):
        return int(value)  # an enumeration's member, too
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return _ADDRESS.sub("", " ".join(str(value).split()))[:_LONGEST]


class Runs:
    """The records of runs in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(
        self, name: str, *, actor: str, experiment: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> RunRecord:
        """Take the next number for a run that begins now, and leave a mark that it has begun."""
        begun = RunRecord(
            number=max(self._numbers(), default=0),
            status="unfinished",
            name=name,
            started_at=now(),
            actor=actor,
            experiment=plain(experiment),
            environment=plain(environment),
        )
        for _ in range(MOST_ATTEMPTS):
            begun = replace(begun, number=begun.number + 1)
            if self._store.create(_key(begun.number, STARTED), begun.to_bytes()):
                return begun
        raise RegistryError(f"{self._store}: {MOST_ATTEMPTS} other runs took the next number first; try again")

    def finish(self, record: RunRecord) -> None:
        """Write the whole record of a run that is over."""
        if not self._store.create(_key(record.number, FINISHED), record.to_bytes()):
            raise RegistryError(f"{self._store}: run {record.number} is recorded already")

    def list(self) -> Iterator[RunRecord]:
        """Yield every run, the newest first, each read when it is asked for.

        One whose record cannot be read has the status ``damaged``.
        """
        for number in sorted(self._numbers(), reverse=True):
            try:
                found = self._read(number)
            except StoreAway:
                raise
            except RegistryError:
                found = RunRecord(number=number, status="damaged")
            if found is not None:
                yield found

    def get(self, number: int) -> RunRecord:
        """Return a run; raise :class:`~pegboard.errors.RegistryError` if there is none, or if it cannot be read."""
        found = self._read(number) if 0 < number <= 99_999_999 else None
        if found is None:
            raise RegistryError(f"{self._store} holds no run {number}; `pegboard runs list` shows those it holds")
        return found

    def _numbers(self) -> Iterator[int]:
        return (int(name) for name in self._store.names(PREFIX) if _NUMBER.fullmatch(name))

    def _read(self, number: int) -> RunRecord | None:
        there = self._store.names(f"{PREFIX}/{number:08d}")
        for file in (FINISHED, STARTED):
            if file in there:
                key = _key(number, file)
                return _parse(self._store.read(key), f"{self._store}/{key}", number)
        return None


def now() -> str:
    """Return the time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _key(number: int, file: str) -> str:
    return f"{PREFIX}/{number:08d}/{file}"


def _parse(data: bytes, where: str, number: int) -> RunRecord:
    try:
        read = json.loads(data)
        if read["format"] != FORMAT:
            raise RegistryError(f"{where} has format {read['format']}; this Pegboard reads format {FORMAT}: upgrade it")
        tables = {"tuning": tuple(read.get("tuning", ())), "candidates": tuple(read["candidates"])}
        record = RunRecord(**{**read, **tables})
        wrong = [f.name for f in fields(RunRecord) if not isinstance(getattr(record, f.name), _TYPES[f.name])]
        board, _ = record.leaderboard, record.tunings  # what the lists and the report are made of
        datetime.fromisoformat(record.started_at)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{where} is not a run's record ({error}); restore it from a copy") from error
    if record.number != number or record.status not in STATUSES or wrong or (board is None) != (not record.candidates):
        raise RegistryError(f"{where} is not the record of run {number}; restore it from a copy")
    return record


_OPTIONAL = (dict, type(None))
_TYPES: Mapping[str, tuple[type, ...]] = {
    **{f.name: (str,) for f in fields(RunRecord)},
    **dict.fromkeys(("number", "format"), (int,)),
    **dict.fromkeys(("experiment", "environment", "timings"), (dict,)),
    **dict.fromkeys(("data", "validation", "evaluation", "error"), _OPTIONAL),
    "greater_is_better": (bool,),
    **dict.fromkeys(("tuning", "candidates"), (tuple,)),
}
