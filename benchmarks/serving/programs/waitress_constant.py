"""L1: bare waitress. The application reads the body and returns a constant: as fast as any server on waitress can be.

Usage: waitress_constant.py PORT ANSWER
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import waitress

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ANSWER = sys.argv[2].encode()
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(ANSWER)))]


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body and answer the same bytes every time."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [ANSWER]


logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else it warns of every request that waits
waitress.serve(application, host="127.0.0.1", port=int(sys.argv[1]), ident=None, _quiet=True)
