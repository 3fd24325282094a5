"""A fresh process that reads a pickled pipeline as a server does, and answers rows with it.

It reads ``{"pickle": base64, "signature": …, "rows": …}`` from standard input and writes ``{"answers": …}``.
"""

from __future__ import annotations

import base64
import json
import sys
from contextlib import redirect_stdout

from pegboard import unpickling
from pegboard.frames import from_rows
from pegboard.signature import Signature
from pegboard.testing.tables import answers_of


def main() -> None:
    """Answer the question on standard input."""
    question = json.load(sys.stdin)
    signature = Signature.from_dict(question["signature"])
    with redirect_stdout(sys.stderr):
        pipeline = unpickling.load(base64.b64decode(question["pickle"]), "the pickle")
        answers = answers_of(pipeline, signature, from_rows(question["rows"], signature))
    print(json.dumps({"answers": answers.tolist()}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
