"""What may not be unpickled: names that could act on the machine, wherever they hide, and what plugins only import."""

from __future__ import annotations

import functools
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from pegboard.errors import BundleError, ConfigError
from pegboard.unpickling import VARIABLE, UnpicklingRefused, load


def dumped(value: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue()


PLUGIN = """
import os, subprocess
from functools import partial
from os import system
from sklearn.base import BaseEstimator, TransformerMixin

class Half(TransformerMixin, BaseEstimator):
    class Inner:
        pass
    def fit(self, X, y=None):
        self.inner_ = self.Inner()
        return self
    def transform(self, X):
        return X / 2

def half(X):
    return X / 2

shell = partial(system)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a plugin distribution with a requirement of its own, and one that nobody requires."""
    install(
        tmp_path, "board-half", PLUGIN, requires=("halving-lib>=1", "not-here", "only-extra; extra == 'x'"), plugin=True
    )
    for name in ("halving-lib", "only-extra", "deeper-lib"):
        requires = ("deeper-lib",) if name == "halving-lib" else ()
        install(tmp_path, name, "import os\nclass Thing: pass\ndef thing(): pass\n", requires=requires)
    monkeypatch.syspath_prepend(tmp_path)
    return "board_half"


def install(site: Path, name: str, code: str, requires: tuple[str, ...] = (), plugin: bool = False) -> None:
    module = name.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (site / f"{module}.py").write_text(code)
    needed = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}")
    (info / "RECORD").write_text(f"{module}.py,,\n{info.name}/METADATA,,\n")
    if plugin:
        (info / "entry_points.txt").write_text(f"[pegboard]\nhalf = {module}\n")


def by_name(module: str, name: str) -> bytes:
    """Return a pickle that is nothing but one name, taken as STACK_GLOBAL takes it."""
    return b"\x80\x04" + b"".join(b"X" + len(t).to_bytes(4, "little") + t.encode() for t in (module, name)) + b"\x93."


def test_classes_and_functions_of_a_plugin_come_back_and_classes_of_what_it_requires(plugin: str) -> None:
    half = __import__(plugin)
    fitted = make_pipeline(half.Half(), FunctionTransformer(half.half), LinearRegression())
    rows = np.array([[1.0], [2.0], [4.0]])
    fitted.fit(rows, [1.0, 2.0, 3.0])

    np.testing.assert_array_equal(load(dumped(fitted), "here").predict(rows), fitted.predict(rows))
    assert load(by_name("halving_lib", "Thing"), "here").__module__ == "halving_lib"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("board_half", "os"),
        ("board_half", "os.system"),
        ("board_half", "system"),
        ("board_half", "subprocess.Popen"),
        ("board_half", "shell"),
        ("halving_lib", "thing"),
        ("halving_lib", "os.system"),
        ("only_extra", "Thing"),
        ("deeper_lib", "Thing"),
        ("pegboard_serve.plugin", "register_commands"),
    ],
)
def test_what_a_plugin_only_imports_or_does_not_name_is_refused(plugin: str, module: str, name: str) -> None:
    with pytest.raises(UnpicklingRefused) as refused:
        load(by_name(module, name), "here")
    assert str(refused.value) == (
        f"here: '{module}.{name}' may not be unpickled: install the plugin distribution that brings it, or train "
        "again (PEGBOARD_UNPICKLE lets in single names, for a bundle that you trust)"
    )


FORBIDDEN = """
os:system posix:system nt:system subprocess:Popen subprocess:run builtins:eval builtins:exec builtins:getattr
builtins:__import__ builtins:open builtins:compile builtins:setattr builtins:globals builtins:type builtins:breakpoint
importlib:import_module pickle:loads pickle:Unpickler _pickle:loads operator:attrgetter operator:methodcaller sys:exit
operator:itemgetter runpy:run_path code:interact pty:spawn shutil:rmtree socket:socket ctypes:CDLL pdb:run
timeit:timeit webbrowser:open types:FunctionType types:CodeType functools:reduce codecs:open io:open
pathlib:Path.write_text asyncio:run multiprocessing:Process threading:Thread logging.config:dictConfig pydoc:locate
zipimport:zipimporter numpy:load numpy:save numpy:memmap numpy:fromfile numpy:vectorize numpy:frompyfunc
numpy:os.system numpy:DataSource numpy.testing:rundocs numpy.f2py:compile numpy.distutils.exec_command:exec_command
numpy.lib.npyio:NpzFile numpy.lib._npyio_impl:os.system numpy.testing._private.utils:runstring
numpy.f2py.crackfortran:myeval numpy._core.memmap:memmap numpy:ndarray.tofile numpy.ma:os numpy.ctypeslib:load_library
joblib:load joblib:dump joblib:Memory joblib:Parallel joblib.numpy_pickle:NumpyUnpickler joblib.numpy_pickle:load
joblib.numpy_pickle_compat:NDArrayWrapper joblib.externals.cloudpickle:loads pandas:read_pickle pandas:eval
pandas:ExcelWriter pandas:HDFStore pandas:DataFrame.to_csv pandas.io.common:get_handle
pandas.core.computation.expr:Expr pandas.core.frame:DataFrame.to_pickle pandas.core.indexes.base:os
scipy.stats:rv_continuous scipy.stats._distn_infrastructure:rv_frozen scipy.io:savemat scipy.io:netcdf_file
scipy.sparse:load_npz scipy.sparse:save_npz scipy.linalg:inv scipy.special:os sklearn:os sklearn.base:np.log1p
sklearn:os.system
sklearn.base:os.system sklearn.utils._testing:subprocess.run sklearn.datasets:fetch_file
sklearn.utils.parallel:Parallel sklearn.utils:Bunch.update sklearn.pipeline:Pipeline.fit sklearn.externals._arff:load
sklearn.base:clone sklearn.tests.test_base:pickle.loads sklearn.metrics:os pegboard.registry:Registry
pegboard.stores.file:FileStore pegboard.bundle:write pegboard.unpickling:load pegboard.cli.main:cli
pegboard_sklearn.plugin:os __main__:Anything nowhere:Thing antigravity:webbrowser cryptography.fernet:Fernet
great_expectations:get_context
""".split()  # noqa: SIM905  # a table, not a string


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_could_act_on_the_machine_is_refused_by_name(name: str) -> None:
    module, _, attribute = name.partition(":")
    for data in (by_name(module, attribute), b"c" + f"{module}\n{attribute}\n.".encode()):
        with pytest.raises(UnpicklingRefused, match=r"^here: '.*' (may not be unpickled|was defined|is not there)"):
            load(data, "here")


class Call:
    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("within", ["an array of objects", "an array in an array", "an estimator", "a partial"])
def test_a_call_is_refused_wherever_it_hides_before_it_runs(tmp_path: Path, within: str) -> None:
    sign = tmp_path / "ran"
    evil: Any = Call(open, str(sign), "w")
    array = np.array([evil, 1], dtype=object)
    hidden = {
        "an array of objects": array,
        "an array in an array": np.array([array, 1], dtype=object),
        "an estimator": LinearRegression(fit_intercept=evil),
        "a partial": FunctionTransformer(functools.partial(open, str(sign), "w")),
    }
    data = dumped(hidden[within])

    with pytest.raises(UnpicklingRefused, match=r"'_?io\.open' may not be unpickled"):
        load(data, "here")

    assert not sign.exists()
    if within != "a partial":
        joblib.load(io.BytesIO(data))
        assert sign.exists(), "this canary could not have sung"


def test_a_distribution_of_scipy_which_runs_text_of_its_state_is_refused(tmp_path: Path) -> None:
    sign = tmp_path / "ran"
    evil = dumped(Call(scipy.stats.rv_continuous, state={"_parse_arg_template": f"open({str(sign)!r}, 'w').close()"}))

    with pytest.raises(UnpicklingRefused, match=r"rv_continuous' may not be unpickled"):
        load(evil, "here")

    assert not sign.exists()
    with pytest.raises(KeyError):
        joblib.load(io.BytesIO(evil))
    assert sign.exists(), "this canary could not have sung"


def test_a_pickle_cannot_change_a_class_that_the_process_shares() -> None:
    evil = by_name("sklearn.linear_model._base", "LinearRegression")[:-1] + b"N}X\x07\0\0\0predictNs\x86b."
    original = LinearRegression.predict

    with pytest.raises(UnpicklingRefused, match="the pickle changes <class"):
        load(evil, "here")
    assert LinearRegression.predict is original


def test_joblibs_place_holder_takes_no_state_that_joblib_does_not_write() -> None:
    name = by_name("joblib.numpy_pickle", "NumpyArrayWrapper")[:-1]

    with pytest.raises(UnpicklingRefused, match="an array that joblib has not written"):
        load(name + b")\x81}X\x04\0\0\0readNsb.", "here")


def test_an_operator_lets_in_single_names_and_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "numpy:nanstd, scipy.stats.*")

    assert load(dumped(np.nanstd), "here") is np.nanstd
    assert load(dumped(scipy.stats.norm(3)), "here").mean() == 3
    for name in ("nanvar", "load"):
        with pytest.raises(UnpicklingRefused):
            load(by_name("numpy", name), "here")


@pytest.mark.parametrize("value", ["numpy", "numpy:", "*", "a b:c", "a.*:b"])
def test_a_setting_that_names_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ConfigError) as refused:
        load(dumped(1), "here")
    assert str(refused.value) == f"PEGBOARD_UNPICKLE: {value!r} is neither module:Name nor package.*"


GOOD = dumped(make_pipeline(LinearRegression()).fit([[1.0], [2.0]], [1.0, 2.0]))


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=4))
def test_damaged_data_raises_nothing_but_a_refusal(position: int, replacement: bytes) -> None:
    damaged = GOOD[:position] + replacement + GOOD[position + len(replacement) + 1 :]
    refusal = ""
    try:
        load(damaged, "here")
    except BundleError as refused:
        refusal = str(refused)
    assert refusal == "" or refusal.startswith("here")


def test_what_is_not_a_pickle_is_refused_with_the_remedy() -> None:
    for data in (b"", b"no", pickle.dumps(LinearRegression())[:-5]):
        with pytest.raises(BundleError, match=r"^here cannot be unpickled \(.*\): train again$"):
            load(data, "here")
