#!/usr/bin/python
"""What haproxy thinks of one of its servers; community.general.haproxy tells only whom it has just changed."""

from __future__ import annotations

import csv
import socket
import time

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-not-found,unused-ignore]

DOCUMENTATION = r"""
module: pegboard_haproxy_server
short_description: What haproxy thinks of one of its servers
description:
  - Asks haproxy's socket, changes nothing, and fails where there is no such socket or no such server.
  - With C(seconds) it waits until haproxy finds the server well, and fails if it does not. A server that was just
    enabled shows as C(UP 1/2), without having been asked anything, so that is not enough.
author: the Pegboard authors
options:
  socket:
    type: path
    required: true
    description: haproxy's socket.
  backend:
    type: str
    required: true
    description: The backend's name.
  server:
    type: str
    required: true
    description: The server's name in it.
  seconds:
    type: int
    default: 0
    description: How long the server has to be found well. 0 is that it need not be.
"""
RETURN = r"""
status:
  type: str
  returned: success
  description: C(UP), C(DOWN), C(MAINT), C(DRAIN), C(no check), also with how many checks are still to come (C(UP 1/2)).
"""
# Its last checks have all been good; or there are none.
WELL = ("UP", "no check")


def statuses(path: str) -> dict[tuple[str, str], str]:
    """Return the status of every server, by its backend's name and its own."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(path)
        line.sendall(b"show stat\n")
        said = line.makefile().read()
    rows = csv.DictReader(said.removeprefix("# ").splitlines())
    return {(row["pxname"], row["svname"]): row["status"] for row in rows}


def main() -> None:
    """Answer what Ansible asks."""
    words = {name: {"type": kind, "required": True} for name, kind in
             (("socket", "path"), ("backend", "str"), ("server", "str"))}  # fmt: skip
    module = AnsibleModule(argument_spec={**words, "seconds": {"type": "int", "default": 0}}, supports_check_mode=True)
    path, backend, server = (module.params[name] for name in words)
    seconds = module.params["seconds"]
    deadline = time.monotonic() + seconds
    while True:
        try:
            status = statuses(path).get((backend, server))
        except OSError as error:
            module.fail_json(msg=f"haproxy's socket {path} does not answer: {error.strerror or error}")
        if status is None:
            module.fail_json(msg=f"haproxy knows no server {server} in a backend {backend}")
        if status in WELL or not seconds:
            module.exit_json(changed=False, status=status)
        if time.monotonic() > deadline:
            module.fail_json(msg=f"after {seconds} s haproxy finds the server {backend}/{server} {status}")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
