"""A fresh process that imports one plugin, lists what it registers, and calls the factories, watching.

It reads ``{"module": …}`` from standard input and writes one line of JSON: ``libraries``, the third-party packages that
were imported on the way to the list of specs, and ``made``, for each model, what its second ``make()`` did.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.metadata import packages_distributions
from types import FrameType
from typing import Any

from pegboard import defaults, hookspecs
from pegboard.manager import Manager, Plugin
from pegboard.specs import ModelSpec

WORK = frozenset({"fit", "fit_transform", "partial_fit"})
EVENTS = frozenset({"open", "socket.connect", "subprocess.Popen", "os.system"})
_watched: list[str] | None = None


def main() -> None:
    """Answer the question on standard input."""
    question = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        answer = listed(question["module"])
    print(json.dumps(answer))  # noqa: T201 - the answer


def listed(name: str) -> dict[str, Any]:
    """Import a plugin's module and list what it registers; call each model's factory twice, watching the second."""
    before = set(sys.modules)
    module = import_module(name)
    manager = Manager()
    if module is not defaults:  # which every manager has
        manager.add(module, Plugin("checked", "", ""))
    plugin = manager.plugins[-1]
    hooks = [hook for hook in vars(hookspecs) if hook.startswith("register_")]
    specs = [spec for hook in hooks for origin, spec in manager.registrations(hook) if origin == plugin]
    imported = {known.partition(".")[0] for known in set(sys.modules) - before}
    libraries = third_party(imported, name)
    sys.addaudithook(_audit)
    return {
        "module": name,
        "libraries": sorted(libraries),
        "made": {spec.name: made(spec) for spec in specs if isinstance(spec, ModelSpec)},
    }


def third_party(imported: set[str], name: str) -> set[str]:
    """Return the packages that are neither Python's own nor of the plugin's distribution."""
    distributions = packages_distributions()
    own = set(distributions.get(name.partition(".")[0], ()))
    outside = imported - set(sys.stdlib_module_names) - {name.partition(".")[0]}
    return {top for top in outside if top in distributions and not own & set(distributions[top])}


def made(spec: ModelSpec) -> dict[str, Any]:
    """Call a factory twice; say what the second call did beside making an object."""
    try:
        spec.make()
        with watching() as seen:
            estimator = spec.make()
    except (Exception, SystemExit) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    fitted = sorted(name for name in getattr(estimator, "__dict__", {}) if name.endswith("_") and name[0] != "_")
    return {"seen": list(dict.fromkeys(seen)), "fitted": fitted}


@contextmanager
def watching() -> Iterator[list[str]]:
    """Collect files that are opened, connections, processes, and calls of functions that fit."""
    global _watched  # noqa: PLW0603 - an audit hook stays for the process' life, and can be given nothing
    seen: list[str] = []
    _watched = seen
    sys.setprofile(_profile)
    try:
        yield seen
    finally:
        sys.setprofile(None)
        _watched = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event in EVENTS:
        _watched.append(f"{event} {arguments[0]}")


def _profile(frame: FrameType, event: str, _: Any) -> None:
    if _watched is not None and event == "call" and frame.f_code.co_name in WORK:
        _watched.append(f"call of {frame.f_code.co_qualname}")


if __name__ == "__main__":
    main()
