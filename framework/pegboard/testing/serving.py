"""Training, publishing and really serving a model, in a registry that is gone afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError

import pandas as pd

from pegboard.config import Experiment
from pegboard.predictor import Predictor
from pegboard.registry import Registry
from pegboard.report import ValidationReport
from pegboard.signature import Signature
from pegboard.specs import SplitterSpec
from pegboard.testing.kit import Failed, Subject, attempting
from pegboard.testing.tables import SEED, contender_for, plain
from pegboard.training.compare import compare
from pegboard.training.evaluate import refit
from pegboard.training.fitting import Isolation
from pegboard.training.plan import find_scorer
from pegboard.training.publish import Trained, publish
from pegboard.training.split import split
from pegboard.training.values import Winner

FOLDS = 3
TIMEOUT = 60

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Published:
    """A version in a registry, and what was published: the rows it was trained on, and the pipeline."""

    registry: Path
    name: str
    features: pd.DataFrame
    signature: Signature
    predictor: Predictor


def published(subject: Subject) -> Published:
    """Compare, refit and publish the subject's model by the stages of training; observers are not told."""
    model, catalog, location = subject.spec, subject.kit.catalog, subject.kit.directory() / "registry"
    contender, table = contender_for(subject, plain(model.task))
    parts = split(table, catalog.get(SplitterSpec, "k-fold"), folds=FOLDS, holdout=0.2, seed=SEED)
    scorer = find_scorer("r2" if model.task == "regression" else "accuracy", model.task, catalog)
    with attempting("training"):
        board = compare(table, parts.folds, [contender], scorer, isolation=Isolation("thread"), workers=1)
        pipeline = refit(contender, table)
    experiment = Experiment(name="conformance", source="conformance", registry=str(location), isolation="thread")
    winner = Winner(board[model.name], pipeline, None, 0)
    report = ValidationReport(len(table), ())
    with attempting("publishing"):
        trained = Trained(experiment, table, report, board, winner, subject.kit.manager.plugins)
        publish(trained, Registry(location))
    return Published(location, experiment.name, table.features, table.signature, Predictor(pipeline, table.signature))


@contextmanager
def served(registry: Path, name: str) -> Iterator[Callable[[Rows], dict[str, Any]]]:
    """Run ``pegboard serve`` on a free port and give a function that asks it for predictions."""
    if find_spec("pegboard_serve") is None:
        raise Failed("pegboard-serve is not installed, so nothing can be served: pip install pegboard-serve")
    command = [sys.executable, "-m", "pegboard", "serve", name, "--registry", str(registry), "--port", "0"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    errors = registry / "serve.log"
    with (
        errors.open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environ, cwd=registry
        ) as process,
    ):
        try:
            yield _asking(_address(process, errors))
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str], errors: Path) -> str:
    said = process.stdout.readline() if process.stdout else ""
    if found := re.search(r"on (http://\S+)", said):
        return found[1]
    lines = errors.read_text().strip().splitlines()
    raise Failed(f"pegboard serve does not start: {lines[-1] if lines else said!r}", "\n".join(lines[-8:]))


def _asking(address: str) -> Callable[[Rows], dict[str, Any]]:
    def predict(rows: Rows) -> dict[str, Any]:
        asked = request.Request(  # noqa: S310 - our own server
            f"{address}/predict", json.dumps(rows).encode(), {"Content-Type": "application/json"}
        )
        try:
            with request.build_opener(request.ProxyHandler({})).open(asked, timeout=TIMEOUT) as response:
                answer: dict[str, Any] = json.load(response)
        except HTTPError as error:
            raise Failed(f"the server answers {error.code}", error.read().decode(errors="replace")[:500]) from error
        except URLError as error:
            raise Failed(f"the server does not answer: {error.reason}") from error
        return answer

    return predict
