"""A server that speaks S3: moto's, a request at a time.

S3 decides conditional writes atomically. moto looks whether a key is there, and then writes it, in a thread for each
request; without the lock two writers can both be told that they were first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

_lock = threading.Lock()
_moto = DomainDispatcherApplication(create_backend_app)


def one_at_a_time(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    with _lock:
        return list(_moto(environ, start_response))


if __name__ == "__main__":
    run_simple("127.0.0.1", 0, one_at_a_time, threaded=True)
