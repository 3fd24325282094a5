"""L0: bare Flask on waitress. The view reads the body and returns a constant.

Usage: flask_constant.py PORT ANSWER
"""

from __future__ import annotations

import logging
import sys

import waitress
from flask import Flask, Response, request

ANSWER = sys.argv[2].encode()
app = Flask(__name__, static_folder=None)


@app.post("/predict")
def predict() -> Response:
    """Read the body and answer the same bytes every time."""
    request.get_data()
    return Response(ANSWER, mimetype="application/json")


logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else it warns of every request that waits
waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), ident=None, _quiet=True)
