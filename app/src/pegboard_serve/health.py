"""Is the server in this container ready?  ``python -m pegboard_serve.health``: exit status 0 if it is, else 1.

It is asked every few seconds, so it imports nothing but the standard library, and reads what the server has been told
from the same variables.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping

from pegboard_serve.settings import PORT

#: Seconds until a server that does not answer is not ready.
PATIENCE = 2.0


def problem(environ: Mapping[str, str]) -> str | None:
    """Ask ``/ready`` on this machine, and say why the server is not ready; ``None`` if it is."""
    given = environ.get("PEGBOARD_SERVE_PORT") or str(PORT)
    if not (given.isascii() and given.isdecimal() and 0 < int(given) < 2**16):
        return f"PEGBOARD_SERVE_PORT is {given!r}: set it to the port that is asked, 1 to 65535"
    url = f"http://127.0.0.1:{given}/ready"
    connection = http.client.HTTPConnection("127.0.0.1", int(given), timeout=PATIENCE)
    try:
        connection.request("GET", "/ready", headers=_host(environ))
        response = connection.getresponse()
        said = response.read(1000)
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    if response.status == http.HTTPStatus.OK:
        return None
    return f"{url}: status {response.status}: {' '.join(said.decode(errors='replace').split())}"


def _host(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the header of a host that the server answers, where it does not answer all."""
    trusted = environ.get("PEGBOARD_SERVE_TRUSTED_HOST") or environ.get("PEGBOARD_SERVE_TRUSTED_HOSTS") or ""
    names = trusted.split()
    return {"Host": names[0].removeprefix(".")} if names else {}


if __name__ == "__main__":
    sys.exit(problem(os.environ))  # a text goes to stderr, with exit status 1
