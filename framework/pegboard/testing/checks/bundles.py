"""What must hold of a model once it is written down: pickled, read elsewhere, served, compiled."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import joblib
import numpy as np

from pegboard import unpickling
from pegboard.frames import to_records, to_rows
from pegboard.kernels.choose import choose
from pegboard.testing.fresh import ask
from pegboard.testing.kit import Failed, Subject, attempting, check
from pegboard.testing.serving import published, served
from pegboard.testing.tables import Specimen, apart, shown, specimen


@check("model", "pickles", "it can be pickled, and everything in the pickle may be read back", ("learns",))
def pickles(subject: Subject) -> None:
    """What may be read back is decided by :mod:`pegboard.unpickling`."""
    made = specimen(subject)
    with attempting("pickling"):
        data = pickled(made)
    with attempting("reading the pickle back"):
        unpickling.load(data, "the pickle")


def pickled(made: Specimen) -> bytes:
    """Return the pipeline as a bundle holds it."""
    buffer = io.BytesIO()
    joblib.dump(made.pipeline, buffer)
    return buffer.getvalue()


@check("model", "reloads-the-same", "read back in a fresh process it answers the same", ("pickles",))
def reloads_the_same(subject: Subject) -> None:
    """Nothing that it has learned is kept outside the pickle."""
    made = specimen(subject)
    rows = to_records(made.table.features, made.signature)
    question = {
        "pickle": base64.b64encode(pickled(made)).decode(),
        "signature": made.signature.to_dict(),
        "rows": to_rows(rows, made.signature),
    }
    answers = np.array(ask("pegboard.testing.reload", question)["answers"], dtype=np.float64)
    if problem := apart(answers, made.answers(made.table.frame)):
        raise Failed(f"in a fresh process it answers otherwise: {problem}", shown(made.table.frame))


@check("model", "serves-the-same", "published and served, it answers the same over HTTP", ("reloads-the-same",))
def serves_the_same(subject: Subject) -> None:
    """The stages of training, a registry of its own, and `pegboard serve`."""
    trained = published(subject)
    rows = to_records(trained.features, trained.signature)
    expected = trained.predictor.predict_records(rows).to_dict()
    with served(trained.registry, trained.name) as predict:
        answer = predict(rows)
    for part, values in expected.items():
        if problem := _differs(answer.get(part), values):
            raise Failed(f"over HTTP, {part}: {problem}", shown(trained.features))


def _differs(found: Any, expected: list[Any]) -> str | None:
    if isinstance(expected[0], dict):
        found, expected = ([list(row.values()) for row in rows or ()] for rows in (found, expected))
    elif not isinstance(expected[0], float):
        return None if found == expected else f"{json.dumps(found)[:200]}, not {json.dumps(expected)[:200]}"
    return apart(np.array(found, dtype=np.float64), np.array(expected, dtype=np.float64))


@check("model", "kernel-agrees", "a kernel for its estimator answers as the pipeline does", ("learns",))
def kernel_agrees(subject: Subject) -> str | None:
    """If there is one: on training rows, and on rows at the edges of the signature."""
    made = specimen(subject)
    if not made.signature.classes or hasattr(made.pipeline, "predict_proba"):
        rows = to_rows(to_records(made.table.features, made.signature), made.signature)
        choice = choose(made.pipeline, made.signature, subject.kit.catalog.kernels(), made.predictor.ask, rows)
        if choice.refused:
            raise Failed(choice.note)
        return choice.note
    return "it gives no probabilities, so none can serve"
