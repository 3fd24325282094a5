"""What may be unpickled: decided here, by what is installed and by an environment variable, never by the bundle.

A pickle is a program whose instructions name the functions that it calls. The unpickler here looks every name up in a
policy before anything is imported, and refuses the rest: a pipeline needs classes of numerical libraries and of
plugins, and nothing else. Functions are let in one by one, because a function runs with the arguments that the pickle
gives it. Even classes are not harmless (unpickling a distribution of ``scipy.stats`` executes text of its state), so
they are let in module by module.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import Distribution, distribution, entry_points
from typing import Any, NamedTuple

import numpy as np
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler
from packaging.utils import canonicalize_name

from pegboard.distributions import required
from pegboard.errors import BundleError, ConfigError
from pegboard.provenance import library_version

VARIABLE = "PEGBOARD_UNPICKLE"

#: Our own distributions: they hang on the board as plugins do, and bring nothing that a pipeline is made of.
FRAMEWORK = ("pegboard", "pegboard-serve")


class UnpicklingRefused(BundleError):
    """A pickle names something that may not be loaded; nothing of that name has been imported or called."""


class Grant(IntEnum):
    """What may be loaded from a module."""

    NOTHING = 0
    CLASSES = 1
    CLASSES_AND_FUNCTIONS = 2


#: Packages, everything beneath included; the longest name decides.
PACKAGES: Mapping[str, Grant] = {
    "pegboard.preprocessing": Grant.CLASSES,
    "pegboard.signature": Grant.CLASSES,
    "pegboard.specs": Grant.CLASSES,
    "scipy.interpolate": Grant.CLASSES,
    "scipy.sparse": Grant.CLASSES,
    "scipy.spatial": Grant.CLASSES,
    "scipy.special": Grant.CLASSES,  # and ufuncs, as everywhere
    "sklearn": Grant.CLASSES,
    "sklearn.conftest": Grant.NOTHING,
    "sklearn.datasets": Grant.NOTHING,
    "sklearn.externals": Grant.NOTHING,
    "sklearn.feature_selection": Grant.CLASSES_AND_FUNCTIONS,  # score functions
    "sklearn.metrics": Grant.CLASSES_AND_FUNCTIONS,  # scorers, kernels and distances
    "sklearn.utils": Grant.NOTHING,
    "sklearn.utils._bunch": Grant.CLASSES,
    "sklearn.utils._encode": Grant.CLASSES,
    "sklearn.utils._metadata_requests": Grant.CLASSES,
    "sklearn.utils._tags": Grant.CLASSES,
    "pandas.arrays": Grant.CLASSES,
    "pandas.core.arrays": Grant.CLASSES,
    "pandas.core.dtypes": Grant.CLASSES,
    "pandas.core.indexes": Grant.CLASSES,
    "pandas.core.internals": Grant.CLASSES,
    "pandas._libs.internals": Grant.CLASSES,
    "pandas._libs.tslibs": Grant.CLASSES,
}

#: Modules without what is beneath them, whose array types and generators of random numbers may be loaded.
NUMPY = frozenset(
    ("numpy", "numpy.dtypes", "numpy.ma", "numpy.ma.core", "numpy.rec", "numpy.random.bit_generator",
     "numpy.random.mtrand", *(f"numpy.random._{name}" for name in ("generator", "mt19937", "pcg64", "philox", "sfc64")))
)  # fmt: skip

_BY_NAME: Mapping[str, str] = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple",
    "_codecs": "encode",
    "collections": "Counter OrderedDict defaultdict deque",
    "copyreg": "_reconstructor",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "functools": "partial",  # its function is a name in the pickle too, and must pass as well
    "re": "_compile",
    "uuid": "UUID",
    "numpy": "clip max mean median min nan_to_num nanmean nanmedian round sum",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy._core.numeric": "_frombuffer",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy.ma.core": "_mareconstruct",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "numpy.random.bit_generator": "__pyx_unpickle_SeedSequence",
    "pandas": "NA Categorical CategoricalDtype CategoricalIndex DataFrame DatetimeIndex DatetimeTZDtype Index Interval "
    "IntervalDtype IntervalIndex MultiIndex Period PeriodDtype PeriodIndex RangeIndex Series SparseDtype StringDtype "
    "Timedelta TimedeltaIndex Timestamp BooleanDtype Float32Dtype Float64Dtype Int8Dtype Int16Dtype Int32Dtype "
    "Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype",
    "pandas.core.indexes.base": "_new_Index",
    "pandas.core.indexes.datetimes": "_new_DatetimeIndex",
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "_unpickle_block",
    "pandas._libs.interval": "__pyx_unpickle_IntervalMixin",
    "pandas._libs.tslibs.nattype": "_nat_unpickle",
    "pandas._libs.tslibs.timedeltas": "_timedelta_unpickle",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp",
    "pyarrow.lib": "_restore_array py_buffer type_for_alias",  # pandas' text columns
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "sklearn._loss._loss": "__pyx_unpickle_CyHalfMultinomialLoss",
    "sklearn.cluster._kmeans": "_kmeans_single_elkan _kmeans_single_lloyd",
    "sklearn.neighbors._ball_tree": "newObj",
    "sklearn.neighbors._kd_tree": "newObj",
    "sklearn.utils.validation": "check_array",  # by which gradient boosting lets numbers pass
}

#: Single names, as a pickle gives them.
NAMES = frozenset(f"{module}:{name}" for module, names in _BY_NAME.items() for name in names.split())

#: What is decided above, whatever plugins require.
_DECIDED = {"joblib", "numpy", "pandas", "pegboard", "scipy", "sklearn", *sys.stdlib_module_names}
_TESTS = {"tests", "testing", "_testing", "conftest"}
_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_WRAPPER_STATE = {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}
_ADDITION = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*|\.\*)")


def load(data: bytes, where: str) -> Any:
    """Return what ``joblib.dump`` wrote, uncompressed, if the policy lets in everything that it is made of.

    ``where`` names the data in messages. Raises :class:`UnpicklingRefused` before a name that may not be loaded is
    imported or called, and :class:`~pegboard.errors.BundleError` for data that cannot be unpickled at all.
    """
    return _load(data, where, Policy(os.environ.get(VARIABLE, "")))


class Asked(NamedTuple):
    """A name that a pickle has asked for.

    ``path`` is ``module:Name`` and ``found`` what it stands for. ``plugins`` are the distributions of plugins any of
    which lets it in; there are none where the policy itself does, or an operator.
    """

    path: str
    found: Any
    plugins: frozenset[str]


def asked(data: bytes, where: str) -> list[Asked]:
    """Unpickle as :func:`load` does, and return every name that was asked for on the way, by path."""
    policy = Policy(os.environ.get(VARIABLE, ""))
    _load(data, where, policy)
    return [Asked(path, found, policy.plugins(path)) for path, found in sorted(policy.asked.items())]


def _load(data: bytes, where: str, policy: Policy) -> Any:
    try:
        return _NumpyUnpickler(io.BytesIO(data), policy).load()
    except UnpicklingRefused as refused:
        raise UnpicklingRefused(f"{where}: {refused}") from None
    except ConfigError:
        raise
    except Exception as error:  # a pickle that is not well-formed raises whatever its instructions run into
        raise BundleError(f"{where} cannot be unpickled ({type(error).__name__}: {error}): train again") from error


class Policy:
    """Which names may be loaded; ``additions`` is what an operator lets in besides, as ``module:Name,package.*``."""

    def __init__(self, additions: str = "") -> None:
        added = [part.strip() for part in additions.split(",") if part.strip()]
        for part in added:
            if not _ADDITION.fullmatch(part):
                raise ConfigError(f"{VARIABLE}: {part!r} is neither module:Name nor package.*")
        self._names = NAMES | {part for part in added if ":" in part}
        self._packages = {part.removesuffix(".*"): Grant.CLASSES_AND_FUNCTIONS for part in added if ":" not in part}
        #: What was found so far, by identity: shared by everything in the process, so a pickle may not change it.
        self.given: dict[int, Any] = {}
        #: The same by ``module:Name``.
        self.asked: dict[str, Any] = {}

    def find(self, module: str, name: str) -> Any:
        """Import and return a name; raises :class:`UnpicklingRefused` for any that may not be loaded."""
        named = f"{module}:{name}" in self._names
        grant = self.grant(module)
        if not named and grant is Grant.NOTHING:
            raise _refused(module, name)
        found = _resolve(module, name)
        if not named and not self._fits(found, grant):
            raise _refused(module, name)
        return self.give(f"{module}:{name}", found)

    def give(self, path: str, found: Any) -> Any:
        """Note and return what a name stands for."""
        self.given[id(found)] = self.asked[path] = found
        return found

    def grant(self, module: str) -> Grant:
        """Return what may be loaded from a module, asking the plugins only for what is not ours to say."""
        decided = self._decided(module)
        return max(self._granted(module).values(), default=Grant.NOTHING) if decided is None else decided

    def plugins(self, path: str) -> frozenset[str]:
        """Return the distributions of plugins any of which lets in a name that was asked for."""
        module = path.partition(":")[0]
        if path in self._names or self._decided(module) is not None:
            return frozenset()
        least = _least(self.asked[path])
        return frozenset(plugin for plugin, grant in self._granted(module).items() if grant >= least)

    def _decided(self, module: str) -> Grant | None:
        """Return what the policy or an operator lets in from a module, ``None`` where plugins are to be asked."""
        if module in NUMPY:
            return Grant.CLASSES
        parts = module.split(".")
        parents = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
        for packages in (self._packages, {} if _TESTS & set(parts) else PACKAGES):
            for parent in parents:
                if parent in packages:
                    return packages[parent]
        return Grant.NOTHING if parts[0] in _DECIDED else None

    def _granted(self, module: str) -> Mapping[str, Grant]:
        return self._plugins.get(module.partition(".")[0], {})

    def _fits(self, found: Any, grant: Grant) -> bool:
        """Say whether what was found is of a kind that may be loaded, and at home where that kind may come from."""
        if isinstance(found, np.ufunc):
            return True
        home = getattr(found, "__module__", None)
        if not (callable(found) and isinstance(home, str) and _least(found) <= min(grant, self.grant(home))):
            return False
        return home not in NUMPY or home.startswith("numpy.random.") or _is_array_type(found)

    @cached_property
    def _plugins(self) -> Mapping[str, Mapping[str, Grant]]:
        """By top-level package, and by plugin distribution: all of what it brings, the classes of what it requires."""
        granted: defaultdict[str, dict[str, Grant]] = defaultdict(dict)
        packages = cache(lambda name: _packages(distribution(name)))  # plugins require much the same
        for entry_point in entry_points(group="pegboard"):
            if entry_point.dist is None or (plugin := canonicalize_name(entry_point.dist.name)) in FRAMEWORK:
                continue
            for name in _required(entry_point.dist):
                for package in packages(name):
                    granted[package].setdefault(plugin, Grant.CLASSES)
            for package in (*_packages(entry_point.dist), entry_point.module.partition(".")[0]):
                granted[package][plugin] = Grant.CLASSES_AND_FUNCTIONS
        return granted


def _least(found: Any) -> Grant:
    """Return the least grant that lets in what was found."""
    return Grant.CLASSES if isinstance(found, type) else Grant.CLASSES_AND_FUNCTIONS


def _refused(module: str, name: str) -> UnpicklingRefused:
    shown = f"{module}.{name}"
    if module == "__main__":
        return UnpicklingRefused(f"{shown!r} was defined in a script or a notebook: put it into a plugin, train again")
    return UnpicklingRefused(
        f"{shown!r} may not be unpickled: install the plugin distribution that brings it, or train again "
        f"({VARIABLE} lets in single names, for a bundle that you trust)"
    )


def _resolve(module: str, name: str) -> Any:
    """Import a name, which may be nested in classes, but not in modules or anything else."""
    try:
        found: Any = import_module(module)
        *outer, last = name.split(".")
        for part in outer:
            found = getattr(found, part)
            if not isinstance(found, type):
                raise _refused(module, name)
        return getattr(found, last)
    except (ImportError, AttributeError) as error:
        raise UnpicklingRefused(
            f"{f'{module}.{name}'!r} is not there ({error}): install the versions that the bundle was made with, "
            "or train again"
        ) from error


def _is_array_type(found: Any) -> bool:
    # A memory map is an array whose constructor opens files.
    return issubclass(found, np.generic | np.ndarray | np.dtype) and not issubclass(found, np.memmap)


def _required(plugin: Distribution) -> Iterator[str]:
    """Yield the names of what a plugin itself requires and is installed, ours and its extras aside.

    Not what those require in turn: a plugin's author answers for what the plugin names, and nobody for the rest
    (a class of sympy, which PyTorch requires, evaluates any text that it is given).
    """
    for requirement in required(plugin):
        name = canonicalize_name(requirement.name)
        if name not in FRAMEWORK and library_version(name) is not None:
            yield name


def _packages(installed: Distribution) -> set[str]:
    """Return the top-level packages and modules of a distribution."""
    if listed := installed.read_text("top_level.txt"):
        return set(listed.split())
    tops = {(file.parts[0], len(file.parts)) for file in installed.files or () if file.suffix in (".py", ".so", ".pyd")}
    return {top if depth > 1 else top.partition(".")[0] for top, depth in tops}


class _Policed:
    """What both unpicklers do: ask the policy for names, and change nothing that the process shares."""

    stack: list[Any]
    policy: Policy

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == _WRAPPER:
            return self.policy.give(":".join(_WRAPPER), _Array)
        return self.policy.find(module, name)

    def check_build(self) -> None:
        """Refuse to give state to what a name stands for, and strange state to joblib's array."""
        target, state = self.stack[-2:]
        if id(target) in self.policy.given:
            raise UnpicklingRefused(f"the pickle changes {target!r} itself: train again")
        if isinstance(target, _Array) and not (isinstance(state, dict) and set(state) <= _WRAPPER_STATE):
            raise UnpicklingRefused("the pickle holds an array that joblib has not written: train again")


class _NumpyUnpickler(_Policed, NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """joblib's unpickler, with the policy."""

    def __init__(self, file: io.BytesIO, policy: Policy) -> None:
        super().__init__("", file, ensure_native_byte_order=True)
        self.policy = policy

    def load_build(self) -> None:
        self.check_build()
        super().load_build()

    dispatch = {**NumpyUnpickler.dispatch, pickle.BUILD[0]: load_build}  # noqa: RUF012  # as in the base class


class _Unpickler(_Policed, pickle._Unpickler):
    """The standard library's unpickler, with the policy."""

    def __init__(self, file: io.BytesIO, policy: Policy) -> None:
        super().__init__(file)
        self.policy = policy

    def load_build(self) -> None:
        self.check_build()
        super().load_build()  # type: ignore[misc]  # of the class in Python, and not in its stubs

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # type: ignore[dict-item]  # noqa: RUF012


class _Array(NumpyArrayWrapper):  # type: ignore[misc]  # joblib has no types
    """joblib's place-holder for an array.

    An array of objects is a pickle of its own, and the policy holds for it too (joblib 1.5 reads it without asking).
    """

    def read_array(self, unpickler: _NumpyUnpickler, *arguments: Any) -> Any:
        if self.dtype.hasobject:
            return _Unpickler(unpickler.file_handle, unpickler.policy).load()
        return super().read_array(unpickler, *arguments)
