"""Distributions that misbehave, really installed beside one that does not: each is named, and the rest goes on."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Pegboard = Callable[..., subprocess.CompletedProcess[str]]

TRAIN = ("train", "--source", "tiny", "--scorer", "neg_mean_squared_error", "--folds", "2", "--isolation", "thread")

QUICK = """
import sys
from pegboard import ModelSpec, SourceSpec, hookimpl

def load():
    import numpy, pandas
    area = numpy.arange(60.0)
    return pandas.DataFrame({"area": area, "price": 3 * area + area % 7})

def make():
    from sklearn.linear_model import LinearRegression
    return LinearRegression()

@hookimpl
def register_sources():
    return [SourceSpec(name="tiny", task="regression", target="price", load=load)]

@hookimpl
def register_models():
    return [ModelSpec(name="quick-linear", task="regression", make=make)]

@hookimpl
def after_publish(experiment, version):
    print("quick was told of", version, file=sys.stderr)
"""

PRINTS = """
import ctypes, os, subprocess
from pegboard import hookimpl

def say(where):
    print("NOISE from Python", where)
    os.write(1, f"NOISE to the descriptor {where}\\n".encode())
    ctypes.CDLL(None).puts(f"NOISE from C {where}".encode())
    subprocess.run(["echo", "NOISE from a child", where], check=True)

say("at import")

@hookimpl
def register_models():
    say("in a registration")

@hookimpl
def after_load():
    say("in an observer")
"""

STALLS = """
import sys, threading
from pegboard import hookimpl

@hookimpl
def after_load(experiment):
    threading.Event().wait()

@hookimpl
def after_publish(experiment):
    print("stalls was called again", file=sys.stderr)
"""

LEAKS = """
import threading
from pegboard import hookimpl

@hookimpl
def after_load():
    # A thread that a hook starts is a daemon as the one is that calls it, unless it says otherwise.
    threading.Thread(target=linger, name="lingering", daemon=False).start()

def linger():
    threading.Event().wait()
"""

SAME = """
from pegboard import ModelSpec, hookimpl

@hookimpl
def register_models():
    return [ModelSpec(name="same-model", task="regression", make=dict)]
"""

GOOD_FOR_NOTHING = "from pegboard import hookimpl\n"
TYPO = f"{GOOD_FOR_NOTHING}\n@hookimpl\ndef register_modles():\n    return []\n"
UNMARKED = "def register_models():\n    return []\n"
ARGUMENT = f"{GOOD_FOR_NOTHING}\n@hookimpl\ndef after_load(frme):\n    pass\n"
FAILS = f"{GOOD_FOR_NOTHING}\n@hookimpl\ndef register_models():\n    return 1 / 0\n"
#: What is installed: the plugin's name, its module's code, and what its distribution requires. ``twin`` is two.
PLUGINS: Sequence[tuple[str, str, str, str]] = [
    ("quick", "pegboard-quick", QUICK, ""),
    ("raises", "pegboard-raises", "def broken():\n    return 1 / 0\n\nbroken()\n", ""),
    ("missing", "pegboard-missing", "import a_library_not_there\n", "a-library-not-there>=2"),
    ("undeclared", "pegboard-undeclared", "import a_library_not_there\n", ""),
    ("exits", "pegboard-exits", "import sys\nsys.exit(3)\n", ""),
    ("hangs", "pegboard-hangs", "import threading\nthreading.Event().wait()\n", ""),
    ("prints", "pegboard-prints", PRINTS, ""),
    ("stalls", "pegboard-stalls", STALLS, ""),
    ("leaks", "pegboard-leaks", LEAKS, ""),
    ("twin", "pegboard-twin-one", GOOD_FOR_NOTHING, ""),
    ("twin", "pegboard-twin-two", GOOD_FOR_NOTHING, ""),
    ("left", "pegboard-left", SAME, ""),
    ("right", "pegboard-right", SAME, ""),
    ("typo", "pegboard-typo", TYPO, ""),
    ("unmarked", "pegboard-unmarked", UNMARKED, ""),
    ("argument", "pegboard-argument", ARGUMENT, ""),
    ("fails", "pegboard-fails", FAILS, ""),
    ("conflict", "pegboard-conflict", GOOD_FOR_NOTHING, "numpy>=9999"),
]


def wheel(directory: Path, plugin: str, name: str, code: str, requires: str) -> Path:
    """Build a distribution of one module."""
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (
        f"Requires-Dist: {requires}\n" * bool(requires)
    )
    files = {
        f"{module}.py": code,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[pegboard]\n{plugin} = {module}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    built = directory / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(built, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return built


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment that sees the packages of this one, and has all of these plugins installed."""
    directory = tmp_path_factory.mktemp("plugins")
    uv = importlib.util.find_spec("uv") is not None
    venv.create(directory / "venv", with_pip=not uv, symlinks=True)
    python = directory / "venv" / "bin" / "python"
    (site,) = (directory / "venv" / "lib").glob("python*/site-packages")
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    install = (
        [sys.executable, "-m", "uv", "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    )
    wheels = [wheel(directory, *plugin) for plugin in PLUGINS]
    subprocess.run([*install, "--quiet", "--no-index", "--no-deps", *wheels], check=True, timeout=300)
    return python


@pytest.fixture
def pegboard(python: Path, tmp_path: Path) -> Pegboard:
    """Run the command line with these plugins loaded, and expect the exit status that is given."""

    def run(
        *arguments: str, load: str | None = "quick", status: int = 0, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
        chosen = {} if load is None else {"PEGBOARD_LOAD_PLUGINS": load}
        command = [python, "-m", "pegboard", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=ours | chosen | environ, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def winner(done: subprocess.CompletedProcess[str]) -> str:
    """Return who has won a training; what is on standard output has to be JSON, and nothing else."""
    return str(json.loads(done.stdout)["model"])


@pytest.mark.parametrize(("load", "loaded"), [("quick", ["built-in", "quick"]), ("", ["built-in"])])
def test_the_variable_chooses_the_plugins(load: str, loaded: list[str], pegboard: Pegboard) -> None:
    done = pegboard("plugins", "list", "--json", load=load)
    listed = json.loads(done.stdout)
    assert [plugin["name"] for plugin in listed["plugins"]] == loaded
    assert (listed["problems"], done.stderr) == ([], "")


def test_a_plugin_that_is_not_installed_cannot_be_chosen(pegboard: Pegboard) -> None:
    done = pegboard("plugins", "list", load="quik", status=1)
    expected = "error: PEGBOARD_LOAD_PLUGINS names 'quik', which is not installed; did you mean 'quick'?"
    assert done.stderr.strip() == expected
    assert done.stdout == ""


def test_the_list_says_what_a_plugin_registers_from_which_file(pegboard: Pegboard) -> None:
    _, quick = json.loads(pegboard("plugins", "list", "--json").stdout)["plugins"]
    assert quick["registers"] == {"source": ["tiny"], "model": ["quick-linear"]}
    assert (quick["distribution"], quick["version"], quick["module"]) == ("pegboard-quick", "1.0", "pegboard_quick")
    assert Path(quick["file"]).read_text() == QUICK
    assert quick["import_ms"] > 0
    assert quick["file"] in pegboard("plugins", "list").stdout


def test_plugins_that_break_at_import_are_named_and_the_training_goes_on(pegboard: Pegboard) -> None:
    load = "quick,raises,missing,exits,hangs"
    done = pegboard(*TRAIN, "--json", load=load, PEGBOARD_LOAD_TIMEOUT="5")
    assert winner(done) == "quick-linear"
    for warning in (
        "plugin raises (pegboard-raises 1.0): is not loaded: ZeroDivisionError: division by zero",
        "plugin missing (pegboard-missing 1.0): is not loaded: ModuleNotFoundError: No module named 'a_library",
        "plugin exits (pegboard-exits 1.0): is not loaded: SystemExit: 3",
        "plugin hangs (pegboard-hangs 1.0): is not loaded: it has not returned after 5 s (PEGBOARD_LOAD_TIMEOUT",
    ):
        assert f"warning: {warning}" in done.stderr
    assert "pegboard_hangs.py:2: threading.Event().wait()" in done.stderr
    assert "quick was told of tiny/1" in done.stderr


@pytest.mark.parametrize(("flags", "environ"), [(["--strict"], {}), ([], {"PEGBOARD_STRICT": "1"})])
def test_strictly_any_problem_ends_the_command_before_it_runs(
    flags: list[str], environ: dict[str, str], pegboard: Pegboard, tmp_path: Path
) -> None:
    done = pegboard(*flags, *TRAIN, load="quick,raises,left,right", status=1, **environ)
    assert done.stderr.startswith("error: --strict takes no problem with a plugin, and there is:\n")
    assert "  plugin raises (pegboard-raises 1.0): is not loaded: ZeroDivisionError" in done.stderr
    assert "model 'same-model' belongs to neither" in done.stderr
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])
    assert "quick-linear" in pegboard(*flags, "plugins", "list", **environ).stdout


def test_two_distributions_of_one_name_are_both_left_out(pegboard: Pegboard) -> None:
    done = pegboard("plugins", "list", "--json", load="quick,twin")
    assert [plugin["name"] for plugin in json.loads(done.stdout)["plugins"]] == ["built-in", "quick"]
    origins = "twin (pegboard-twin-one 1.0) and twin (pegboard-twin-two 1.0)"
    assert f"warning: plugin twin: is not loaded: {origins} claim one name; uninstall one" in done.stderr


def test_a_model_that_two_plugins_register_is_an_error_for_who_asks_for_it_alone(pegboard: Pegboard) -> None:
    load, both = "quick,left,right", "left (pegboard-left 1.0) and right (pegboard-right 1.0)"
    assert winner(pegboard(*TRAIN, "--json", "--model", "quick-linear", load=load)) == "quick-linear"
    done = pegboard(*TRAIN, load=load, status=1)
    assert f"error: model 'same-model' is registered by {both}: uninstall one of them" in done.stderr


def test_what_a_plugin_prints_leaves_the_result_alone(pegboard: Pegboard) -> None:
    done = pegboard(*TRAIN, "--json", load="quick,prints")
    assert winner(done) == "quick-linear"
    for kind in ("from Python", "to the descriptor", "from C", "from a child"):
        for place in ("at import", "in a registration", "in an observer"):
            assert f"NOISE {kind} {place}" in done.stderr
    assert json.loads(pegboard("plugins", "list", "--json", load="quick,prints").stdout)["problems"] == []


def test_an_observer_that_hangs_is_left_behind(pegboard: Pegboard) -> None:
    done = pegboard(*TRAIN, "--json", load="quick,stalls", PEGBOARD_HOOK_TIMEOUT="5")
    assert winner(done) == "quick-linear"
    said = "WARNING: plugin stalls (pegboard-stalls 1.0) failed in after_load: it has not returned after 5 s"
    assert done.stderr.count(said) == 1
    assert "pegboard_stalls.py:7: threading.Event().wait()" in done.stderr
    assert "stalls was called again" not in done.stderr
    assert "quick was told of tiny/1" in done.stderr


def test_a_thread_that_is_left_behind_does_not_keep_the_command_from_ending(pegboard: Pegboard) -> None:
    done = pegboard(*TRAIN, "--json", load="quick,leaks")
    assert winner(done) == "quick-linear"
    assert "warning: a plugin has left the thread 'lingering' behind" in done.stderr
    assert "pegboard_leaks.py:11: threading.Event().wait()" in done.stderr


def test_a_limit_that_is_no_number_is_an_error(pegboard: Pegboard) -> None:
    done = pegboard("plugins", "list", status=1, PEGBOARD_LOAD_TIMEOUT="soon")
    assert done.stderr.strip() == "error: PEGBOARD_LOAD_TIMEOUT is 'soon': it is a number of seconds greater than 0"


def test_the_trace_shows_each_call_and_sums_up(pegboard: Pegboard) -> None:
    done = pegboard("--trace", *TRAIN, "--json", load="quick,raises")
    assert winner(done) == "quick-linear"
    lines = [line for line in done.stderr.splitlines() if line.startswith("trace: ")]
    for call, outcome in (
        ("quick (pegboard-quick 1.0) import", "gave pegboard_quick"),
        ("raises (pegboard-raises 1.0) import", "raised ZeroDivisionError: division by zero"),
        ("quick (pegboard-quick 1.0) register_models", "gave quick-linear"),
        ("quick (pegboard-quick 1.0) after_publish", "gave nothing"),
    ):
        assert [line for line in lines if line.startswith(f"trace: {call}: ") and line.endswith(f" ms, {outcome}")]
    summary = next(n for n, line in enumerate(lines) if "calls of plugins took" in line)
    times = [float(line.split()[1]) for line in lines[summary + 1 :]]
    assert len(times) > 5
    assert times == sorted(times, reverse=True)


def findings(done: subprocess.CompletedProcess[str], check: str) -> dict[str, dict[str, Any]]:
    return {f["subject"].split()[0]: f for f in json.loads(done.stdout)["findings"] if f["check"] == check}


def test_the_doctor_finds_each_defect_and_says_what_heals_it(pegboard: Pegboard) -> None:
    done = pegboard("plugins", "doctor", "--json", load=None, status=1, PEGBOARD_LOAD_TIMEOUT="5")
    imports, hooks, names = (findings(done, check) for check in ("import", "hooks", "names"))
    assert imports["quick"]["status"] == "ok"
    assert imports["raises"]["where"].endswith("pegboard_raises.py:2: return 1 / 0")
    assert imports["missing"]["where"].endswith("pegboard_missing.py:1: import a_library_not_there")
    expected = "pegboard-missing requires a-library-not-there>=2: pip install 'a-library-not-there>=2'"
    assert imports["missing"]["remedy"] == expected
    assert "pegboard-undeclared does not say that it requires a_library" in imports["undeclared"]["remedy"]
    assert imports["exits"]["where"].endswith("pegboard_exits.py:2: sys.exit(3)")
    assert imports["hangs"]["where"].endswith("pegboard_hangs.py:2: threading.Event().wait()")
    assert "did you mean 'register_models'?" in hooks["typo"]["message"]
    assert "did you mean 'frame'?" in hooks["argument"]["message"]
    assert hooks["unmarked"]["status"] == "warning"
    assert hooks["unmarked"]["where"].endswith("pegboard_unmarked.py:1")
    assert hooks["quick"]["status"] == "ok"
    assert findings(done, "registrations")["fails"]["where"].endswith("pegboard_fails.py:5: return 1 / 0")
    assert names["twin"]["remedy"] == "pip uninstall pegboard-twin-one or pip uninstall pegboard-twin-two"
    assert "model 'same-model' belongs to neither" in names["left"]["message"]
    requirements = findings(done, "requirements")
    assert requirements["pegboard-conflict"]["remedy"] == "pip install 'numpy>=9999'"
    assert requirements["pegboard-quick"]["status"] == "ok"


def test_the_doctor_is_content_with_a_plugin_that_is_well(pegboard: Pegboard) -> None:
    done = pegboard("plugins", "doctor", status=1)  # what is installed beside it is looked at as well
    assert "✓ quick (pegboard-quick 1.0): every hook is one that there is" in done.stdout
    assert "- raises (pegboard-raises 1.0): PEGBOARD_LOAD_PLUGINS leaves it out" in done.stdout
    wrong = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert [line.split()[1] for line in wrong] == ["pegboard-conflict", "pegboard-missing"]
