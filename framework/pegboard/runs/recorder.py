"""Collecting a run's record while the run goes on, and writing it however the run ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pegboard import provenance
from pegboard.errors import SignatureError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.ledger import actor
from pegboard.runs.record import RunRecord, Runs, Status, now, plain

if TYPE_CHECKING:
    import pandas as pd

    from pegboard.config import Experiment
    from pegboard.manager import Manager
    from pegboard.registry import Registry, Version
    from pegboard.report import ValidationReport
    from pegboard.signature import Signature
    from pegboard.training.candidate import Contender
    from pegboard.training.values import Evaluation
    from pegboard.tuning import Tuning

logger = logging.getLogger("pegboard")


class Recorder:
    """A context in which a run takes place; its methods are called with what the stages hand over.

    Entering it gives the run its number; raises :class:`~pegboard.errors.RegistryError` if the registry cannot be
    written. Leaving it writes the record and tells the observers (``after_run``); neither can fail the run, nor hide
    the error that ended it.
    """

    def __init__(self, experiment: Experiment, registry: Registry, manager: Manager) -> None:
        self._experiment, self._registry, self._manager = experiment, registry, manager
        self._stage, self._since, self._timings = "start", time.perf_counter(), dict[str, float]()
        self._contenders: dict[str, Contender] = {}
        self._candidates: list[Candidate] = []
        self._table: tuple[pd.DataFrame, Signature] | None = None
        self._found: dict[str, Any] = {}

    def __enter__(self) -> Self:
        plugins = [asdict(plugin) for plugin in self._manager.plugins]
        self._record = Runs(self._registry.store).start(
            self._experiment.name,
            actor=actor(),
            experiment=self._experiment.to_dict(),
            environment={**provenance.environment(), "plugins": plugins, "git": provenance.git_commit()},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._record = self._finished(error)
            Runs(self._registry.store).finish(self._record)
        except Exception as problem:  # whatever it is: the run's own end counts
            logger.warning("run %d is not recorded: %s", self._record.number, problem)
            logger.debug("the traceback:", exc_info=problem)
        self._manager.notify("after_run", run=self._record, registry=self._registry)

    @property
    def number(self) -> int:
        """The run's number."""
        return self._record.number

    def stage(self, name: str) -> None:
        """Note that a stage begins, and with it that the one before has ended."""
        ended = time.perf_counter()
        self._timings[self._stage] = round(ended - self._since, 4)
        self._stage, self._since = name, ended

    def loaded(self, frame: pd.DataFrame) -> None:
        """Note where the table came from and what its columns are."""
        origin = str(frame.attrs.get("origin", self._experiment.source))
        columns = {
            str(name): {"kind": str(column.dtype), "missing": int(column.isna().sum()), "role": None}
            for name, column in frame.items()
        }
        data = {"rows": len(frame), "origin": origin, "fingerprint": None, "signature": None, "schema": columns}
        self._found["data"] = data

    def learned(self, frame: pd.DataFrame, signature: Signature) -> None:
        """Note the columns' roles, and the features' kinds."""
        self._table, data = (frame, signature), self._found["data"]
        data["signature"] = signature.to_dict()
        roles = {signature.target: "target", **dict.fromkeys(signature.keys, "key")}
        kinds = {feature.name: feature.kind for feature in signature.features}
        for name, column in data["schema"].items():
            column["role"] = roles.get(name, "feature" if name in kinds else None)
            column["kind"] = kinds.get(name, column["kind"])

    def validated(self, report: ValidationReport) -> None:
        """Note what Great Expectations found."""
        self._found["validation"] = report.to_dict()

    def tabled(self, fingerprint: str) -> None:
        """Note the digest of the table's content."""
        self._found["data"]["fingerprint"] = fingerprint

    def measuring(self, scorer: str, greater_is_better: bool) -> None:
        """Note which scorer the candidates are measured by."""
        self._found |= {"scorer": scorer, "greater_is_better": greater_is_better}

    def tuned(self, tunings: Sequence[Tuning]) -> None:
        """Note what tuning has come to."""
        self._found["tuning"] = tuple(tuning.to_dict() for tuning in tunings)

    def comparing(self, contenders: Sequence[Contender]) -> None:
        """Note who competes."""
        self._contenders = {contender.name: contender for contender in contenders}

    def candidate(self, candidate: Candidate) -> None:
        """Note one candidate's result."""
        self._candidates.append(candidate)

    def selected(self, candidate: Candidate) -> None:
        """Note who won."""
        self._found["model"] = candidate.name

    def evaluated(self, evaluation: Evaluation) -> None:
        """Note how the winner's recipe did on the hold-out."""
        self._found["evaluation"] = evaluation.to_dict()

    def published(self, version: Version) -> None:
        """Note what was published."""
        self._found |= {"version": str(version), "digest": version.digest}

    def _finished(self, error: BaseException | None) -> RunRecord:
        failed_in = self._stage
        self.stage("")
        if self._table is not None and self._found["data"]["fingerprint"] is None:
            self._found["data"]["fingerprint"] = _fingerprint(*self._table)
        return replace(
            self._record,
            # So that observers are told now what they would be told later.
            **{**plain(self._found), "tuning": tuple(plain(self._found.get("tuning", ())))},
            candidates=tuple(plain(self._board())),
            timings=self._timings,
            finished_at=now(),
            status=_status(error),
            error=None if error is None else _error(failed_in, error),
        )

    def _board(self) -> list[Mapping[str, Any]]:
        if not self._candidates:
            return []
        board = Leaderboard.of(self._found["scorer"], self._found["greater_is_better"], self._candidates)
        rows: list[dict[str, Any]] = board.to_dict()["candidates"]
        return [{**row, "parameters": parameters(self._contenders[row["name"]])} for row in rows]


def parameters(contender: Contender) -> Mapping[str, Any]:
    """Return the parameters of a contender's estimator as plain data; the configured ones if it cannot be made."""
    try:
        found: Mapping[str, Any] = plain(contender.build()["model"].get_params())
    except (Exception, SystemExit):  # then it has failed in the comparison too, which says why
        found = plain(contender.params)
    return found


def _fingerprint(frame: pd.DataFrame, signature: Signature) -> str | None:
    """Return the digest of a table that was refused; ``None`` if it does not even fit its signature."""
    from pegboard.fingerprint import fingerprint
    from pegboard.frames import conform, target_values

    try:
        return fingerprint(conform(frame, signature), target_values(frame, signature))
    except SignatureError:
        return None


def _status(error: BaseException | None) -> Status:
    if error is None:
        return "published"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def _error(stage: str, error: BaseException) -> Mapping[str, str]:
    return {"stage": stage, "type": type(error).__name__, "message": str(error)}
