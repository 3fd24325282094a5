"""What the gate asks a server: a bundle's stored rows, said in every protocol, and what the answers must be."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pegboard.bundle import Bundle
from pegboard.kernels.check import difference
from pegboard.signature import Feature, Signature
from pegboard.tables import MISSING
from pegboard_serve.protocols.tensors import DATATYPES

Record = Mapping[str, Any]
#: Labels or values, and for classes a list of probabilities for each row, where an answer has them.
Answer = tuple[list[Any], list[list[float]] | None]


@dataclass(frozen=True)
class Stored:
    """A bundle's stored rows with the answers that its pipeline gave."""

    signature: Signature
    rows: Sequence[Record]
    values: Sequence[Any]
    probabilities: Sequence[Sequence[float]] | None

    @classmethod
    def of(cls, bundle: Bundle) -> Stored:
        """Read them."""
        replay, signature = bundle.replay(), bundle.signature
        names = [str(label) for label in signature.classes]
        probabilities = replay.get("probabilities")
        lists = None if probabilities is None else [[row[name] for name in names] for row in probabilities]
        return cls(signature, replay["rows"], replay["predictions"], lists)

    def parts(self) -> Iterator[tuple[str, Stored]]:
        """Yield all rows together, and each by itself, with what they are called."""
        yield f"{len(self.rows)} rows", self
        for row in range(len(self.rows)):
            probabilities = None if self.probabilities is None else [self.probabilities[row]]
            yield f"row {row}", Stored(self.signature, [self.rows[row]], [self.values[row]], probabilities)


@dataclass(frozen=True)
class Asked:
    """A request in one form of a protocol, and how its answer is read."""

    form: str
    rows: str
    path: str
    content_type: str
    body: bytes
    stored: Stored
    read: Callable[[bytes, Signature], Answer]

    @property
    def name(self) -> str:
        """The form and the rows, for people."""
        return f"{self.form}, {self.rows}"

    def difference(self, body: bytes) -> str | None:
        """Say where an answer differs from the stored one; raises what a malformed one makes of it."""
        values, probabilities = self.read(body, self.stored.signature)
        if self.stored.signature.classes:
            if values != list(self.stored.values):
                return f"labels {_first_apart(values, self.stored.values)}"
            if probabilities is None or self.stored.probabilities is None:
                return None
            return _apart(probabilities, self.stored.probabilities)
        return _apart(values, self.stored.values)


def exchanges(stored: Stored, name: str) -> Iterator[Asked]:
    """Yield every request, the rows together and one by one, in each protocol's forms."""
    for rows, part in stored.parts():
        for form, path, body, read in (
            ("/predict", "/predict", predict_body(part.rows), _native),
            ("/v2/infer", f"/v2/models/{name}/infer", _tensors(part), _inference),
            *((f"/invocations {form}", "/invocations", body, _invocation) for form, body in _invocations(part)),
        ):
            yield Asked(form, rows, path, "application/json", body, part, read)
        if (table := _csv(part)) is not None:
            yield Asked("/invocations csv", rows, "/invocations", "text/csv", table, part, _invocation)


def predict_body(rows: Sequence[Record]) -> bytes:
    """Return what ``POST /predict`` takes: a list of records."""
    return json.dumps(list(rows)).encode()


def _native(body: bytes, signature: Signature) -> Answer:
    answer = json.loads(body)
    names = [str(label) for label in signature.classes]
    found = answer.get("probabilities")
    return answer["predictions"], None if found is None else [[row[name] for name in names] for row in found]


def _tensors(part: Stored) -> bytes:
    inputs = [
        {
            "name": feature.name,
            "datatype": DATATYPES[feature.kind],
            "shape": [len(part.rows), 1],
            "data": [row[feature.name] for row in part.rows],
        }
        for feature in part.signature.features
    ]
    return json.dumps({"inputs": inputs}).encode()


def _inference(body: bytes, signature: Signature) -> Answer:
    outputs = {output["name"]: output["data"] for output in json.loads(body)["outputs"]}
    flat, width = outputs.get("probabilities"), len(signature.classes)
    rows = None if flat is None else [flat[start : start + width] for start in range(0, len(flat), width)]
    return outputs["predict"], rows


def _invocations(part: Stored) -> Iterator[tuple[str, bytes]]:
    names, records = [feature.name for feature in part.signature.features], list(part.rows)
    data = [[row[name] for name in names] for row in records]
    forms: dict[str, Any] = {
        "dataframe_split": {"columns": names, "data": data},
        "dataframe_records": records,
        "instances": records,
        "inputs": {name: [row[name] for row in records] for name in names},
    }
    for form, table in forms.items():
        yield form, json.dumps({form: table}).encode()


def _invocation(body: bytes, _: Signature) -> Answer:
    return json.loads(body)["predictions"], None


def _csv(part: Stored) -> bytes | None:
    """Return the rows as CSV; ``None`` if some text would be read as a missing value, which CSV cannot tell apart."""
    written, features = io.StringIO(newline=""), part.signature.features
    writer = csv.writer(written)
    writer.writerow([feature.name for feature in features])
    for row in part.rows:
        cells = [_cell(feature, row[feature.name]) for feature in features]
        if None in cells:
            return None
        writer.writerow(cells)
    return written.getvalue().encode()


def _cell(feature: Feature, value: Any) -> str | None:
    known = feature.categories or ()
    if value is None:
        return next((text for text in MISSING if text not in known), None)
    if feature.kind == "category":
        return None if value in MISSING and value not in known else str(value)
    return json.dumps(value)


def _first_apart(found: Sequence[Any], stored: Sequence[Any]) -> str:
    if len(found) != len(stored):
        return f"are {len(found)}, not {len(stored)}"
    pairs = enumerate(zip(found, stored, strict=True))
    return next(f"differ: row {row}: {now!r}, not {then!r}" for row, (now, then) in pairs if now != then)


def _apart(found: Any, stored: Any) -> str | None:
    expected = np.array(stored, dtype=np.float64)
    return difference(np.array(found, dtype=np.float64), expected, float(np.abs(expected).max(initial=0)))
