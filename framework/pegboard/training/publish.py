"""Stage 7: write the winner as a bundle, prove that it answers as it did, and file it in the registry."""

from __future__ import annotations

import io
import json
import platform
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from pegboard import bundle as bundles
from pegboard import provenance, signing
from pegboard.config import Experiment
from pegboard.errors import PluginError, blamed
from pegboard.frames import to_records
from pegboard.leaderboard import Leaderboard
from pegboard.manager import Plugin
from pegboard.predictor import Predictor
from pegboard.registry import Registry, Version
from pegboard.report import ValidationReport
from pegboard.training.values import Table, Winner

#: How many training rows a bundle keeps, with the answers its pipeline gave for them.
REPLAY_ROWS = 64


@dataclass(frozen=True)
class Trained:
    """Everything about a trained model that goes into its bundle."""

    experiment: Experiment
    table: Table
    report: ValidationReport
    leaderboard: Leaderboard
    winner: Winner
    plugins: tuple[Plugin, ...]


def publish(trained: Trained, registry: Registry) -> Version:
    """Publish a trained model and return its version; the registry is unchanged if anything goes wrong before."""
    features, signature = trained.table.features, trained.table.signature
    _refuse_other_classes(trained)
    sample = features.iloc[np.unique(np.linspace(0, len(features) - 1, REPLAY_ROWS).astype(int))]
    rows = to_records(sample, signature)
    answers = Predictor(trained.winner.pipeline, signature).predict_records(rows).to_dict()
    pickled = io.BytesIO()
    with blamed(f"pickling model {trained.winner.candidate.name!r}"):
        joblib.dump(trained.winner.pipeline, pickled)
    files = {
        bundles.PIPELINE: pickled.getvalue(),
        bundles.REPLAY: _json({"rows": rows, **answers}),
        bundles.VALIDATION: _json(trained.report.to_dict()),
    }
    with tempfile.TemporaryDirectory(prefix="pegboard-") as scratch:
        bundle = bundles.write(Path(scratch) / "bundle", _manifest(trained), files)
        Predictor.load(bundle)  # refuses a pipeline that answers differently once it was pickled and read back
        key = trained.experiment.signing_key
        return registry.take(bundle, dict([signing.sign(bundle.manifest_bytes(), key)]) if key else {})


def _refuse_other_classes(trained: Trained) -> None:
    """Probabilities are read by position, so a pipeline must order its classes as the signature does."""
    theirs, ours = getattr(trained.winner.pipeline, "classes_", None), trained.table.signature.classes
    if ours and theirs is not None and list(theirs) != list(ours):
        name = trained.winner.candidate.name
        raise PluginError(f"model {name!r} has the classes {list(theirs)}; in sorted order they are {list(ours)}")


def _manifest(trained: Trained) -> dict[str, Any]:
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
        "git": provenance.git_commit(),
    }


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
