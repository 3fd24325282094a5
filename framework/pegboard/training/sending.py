"""Pickling for another process: by reference what it can import, by value what it cannot."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import cloudpickle

REMEDY = 'put what it is made of into a module that can be imported, or set isolation = "thread"'

_registering = threading.Lock()


def dump(thing: object, *factories: Callable[..., Any]) -> bytes:
    """Pickle a thing. The modules of its ``factories`` go with it if they could not be imported by name elsewhere.

    Such are those that pytest's importlib mode loads; functions and classes of ``__main__``, lambdas and closures go by
    value always. Raises whatever pickling raises.
    """
    modules = {module.__name__: module for factory in factories if (module := _module(factory))}
    with _by_value([module for module in modules.values() if not _importable(module)]):
        pickled: bytes = cloudpickle.dumps(thing)
        return pickled


def _module(factory: Callable[..., Any]) -> ModuleType | None:
    while isinstance(factory, functools.partial):
        factory = factory.func
    module = inspect.getmodule(factory)
    return module or inspect.getmodule(type(factory))


def _importable(module: ModuleType) -> bool:
    """Tell whether an import by the module's name would find this very file."""
    if module.__name__ == "__main__" or module.__spec__ is None:
        return True  # sent by value in any case, or made by hand: no import is known
    spec, path, parts = None, None, module.__name__.split(".")
    for depth in range(len(parts)):
        spec = _find(".".join(parts[: depth + 1]), path)
        path = None if spec is None else spec.submodule_search_locations
        if path is None:
            break
    return spec is not None and spec.name == module.__name__ and spec.origin == module.__spec__.origin


def _find(name: str, path: Any) -> ModuleSpec | None:
    # `importlib.util.find_spec` would answer from sys.modules.
    return next((spec for finder in sys.meta_path if (spec := finder.find_spec(name, path))), None)


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    with _registering:  # cloudpickle has one list for the whole process
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)
