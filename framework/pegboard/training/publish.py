"""Stage 7: write the winner as a bundle, prove that it answers as it did, and file it in the registry."""

from __future__ import annotations

import io
import json
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from pegboard import bundle as bundles
from pegboard import provenance, requirements, signing, unpickling
from pegboard.catalog import Entry
from pegboard.config import Experiment
from pegboard.errors import PluginError, blamed
from pegboard.frames import to_records, to_rows
from pegboard.kernels.choose import choose
from pegboard.leaderboard import Leaderboard
from pegboard.manager import Plugin
from pegboard.predictor import Predictor
from pegboard.registry import Registry, Version
from pegboard.report import ValidationReport
from pegboard.specs import KernelSpec
from pegboard.training.values import Table, Winner

#: How many training rows a bundle keeps, with the answers its pipeline gave for them.
REPLAY_ROWS = 64


@dataclass(frozen=True)
class Trained:
    """Everything about a trained model that goes into its bundle; one of ``kernels`` may serve in its place."""

    experiment: Experiment
    table: Table
    report: ValidationReport
    leaderboard: Leaderboard
    winner: Winner
    plugins: tuple[Plugin, ...]
    kernels: tuple[Entry[KernelSpec], ...] = ()


def publish(trained: Trained, registry: Registry) -> Version:
    """Publish a trained model and return its version; the registry is unchanged if anything goes wrong before."""
    features, signature = trained.table.features, trained.table.signature
    _refuse_other_classes(trained)
    sample = features.iloc[np.unique(np.linspace(0, len(features) - 1, REPLAY_ROWS).astype(int))]
    rows = to_records(sample, signature)
    predictor = Predictor(trained.winner.pipeline, signature)
    answers = predictor.predict_records(rows).to_dict()
    pickled = _pickled(trained.winner)
    asked = unpickling.asked(pickled, f"the pipeline of model {trained.winner.candidate.name!r}")
    needed = requirements.find(asked, _kernel(trained, predictor, rows))
    files = {
        bundles.PIPELINE: pickled,
        bundles.REPLAY: _json({"rows": rows, **answers}),
        bundles.VALIDATION: _json(trained.report.to_dict()),
    }
    with tempfile.TemporaryDirectory(prefix="pegboard-") as scratch:
        bundle = bundles.write(Path(scratch) / "bundle", _manifest(trained, needed), files)
        Predictor.load(bundle)  # refuses a pipeline that answers differently once it was pickled and read back
        key = trained.experiment.signing_key
        return registry.take(bundle, dict([signing.sign(bundle.manifest_bytes(), key)]) if key else {})


def _refuse_other_classes(trained: Trained) -> None:
    """Probabilities are read by position, so a pipeline must order its classes as the signature does."""
    theirs, ours = getattr(trained.winner.pipeline, "classes_", None), trained.table.signature.classes
    if ours and theirs is not None and list(theirs) != list(ours):
        name = trained.winner.candidate.name
        raise PluginError(f"model {name!r} has the classes {list(theirs)}; in sorted order they are {list(ours)}")


def _pickled(winner: Winner) -> bytes:
    pickled = io.BytesIO()
    with blamed(f"pickling model {winner.candidate.name!r}"):
        joblib.dump(winner.pipeline, pickled)
    return pickled.getvalue()


def _kernel(trained: Trained, predictor: Predictor, records: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the names of the kernel that would serve and of the distribution that brings it, if one would."""
    rows = to_rows(records, predictor.signature)
    fit = [
        (entry.spec.name, entry.plugin.distribution)
        for entry in trained.kernels
        if choose(predictor.pipeline, predictor.signature, [entry.spec], predictor.ask, rows).kernel is not None
    ]
    return fit[0] if len(fit) == 1 else None  # two that claim one estimator: neither serves


def _manifest(trained: Trained, needed: requirements.Requirements) -> dict[str, Any]:
    winner, board, frame = trained.winner, trained.leaderboard, trained.table.frame
    return {
        "name": trained.experiment.name,
        "model": winner.candidate.name,
        "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "experiment": trained.experiment.to_dict(),
        "signature": trained.table.signature.to_dict(),
        "leaderboard": board.to_dict(),
        "metrics": {
            "scorer": board.scorer,
            "mean": winner.candidate.mean,
            "folds": len(winner.candidate.scores),
            "holdout": winner.holdout_score,
            "holdout_rows": winner.holdout_rows,
            "beats_baseline": board.beats_baseline(winner.candidate),
        },
        "data": {
            "fingerprint": trained.table.fingerprint,
            "rows": len(frame),
            "origin": str(frame.attrs.get("origin", trained.experiment.source)),
        },
        "plugins": [asdict(plugin) for plugin in trained.plugins],
        "python": platform.python_version(),
        "libraries": provenance.libraries(),
        "requirements": needed.to_dict(),
        "git": provenance.git_commit(),
    }


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
