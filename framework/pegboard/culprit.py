"""Which line of a plugin's own code is to blame."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Iterable
from types import FrameType

Frames = Iterable[tuple[FrameType, int]]


def raised_at(error: BaseException, package: str) -> str:
    """Return the innermost line of ``package`` that an error came through, as ``file:line: source``.

    Empty where the error came through none: the package itself was not found. A syntax error is where it is written.
    """
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}: {(error.text or '').strip()}"
    return _innermost(traceback.walk_tb(error.__traceback__), package)


def stands_at(frame: FrameType, package: str = "") -> str:
    """Return the innermost line of ``package`` in a stack that runs, or else the innermost line of all.

    Without a package it is the innermost line outside the standard library.
    """
    stack = [*traceback.walk_stack(frame)][::-1]
    return _innermost(stack, package) or _line(*stack[-1])


def _innermost(frames: Frames, package: str) -> str:
    own = [_line(frame, number) for frame, number in frames if _is_of(frame, package)]
    return own[-1] if own else ""


def _is_of(frame: FrameType, package: str) -> bool:
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return top == package if package else top not in sys.stdlib_module_names


def _line(frame: FrameType, number: int) -> str:
    file = frame.f_code.co_filename
    return f"{file}:{number}: {linecache.getline(file, number, frame.f_globals).strip()}".removesuffix(": ")
