"""The sockets that a server listens on, bound before any process serves on them."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

from pegboard.errors import PegboardError


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each of the host's addresses, bound to one port (0: a free one)."""
    sockets: list[socket.socket] = []
    try:
        _bind(host, port, sockets)
    except (OSError, UnicodeError) as error:
        for sock in sockets:
            sock.close()
        reason = getattr(error, "strerror", None) or error
        raise PegboardError(
            f"cannot listen on {host}:{port}: {reason}; choose another with --port or --host"
        ) from error
    return sockets


def urls(sockets: Sequence[socket.socket]) -> list[str]:
    """Return where each socket can be reached."""
    names = [sock.getsockname()[:2] for sock in sockets]
    return [f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host, port in names]


#: Linux's number for giving a socket a filter, and one that drops what asks for a connection: load byte 13 of the TCP
#: header, its flags; is SYN among them? then take 0 bytes of the segment, else all (instructions of classic BPF).
_SO_ATTACH_FILTER = 26
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def admit_no_more(sock: socket.socket) -> None:
    """Let no other connection begin at a listening socket, in whatever process; those that wait can still be accepted.

    A socket that is closed resets the connections that came since the last one was accepted. Where there are no such
    filters (they are Linux's), that remains.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_SYN))
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_SYN), ctypes.addressof(code)))


def _bind(host: str, port: int, sockets: list[socket.socket]) -> None:
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        sockets.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address[0], port, *address[2:]))
        port = port or sock.getsockname()[1]
        sock.listen(1024)
