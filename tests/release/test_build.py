"""What is released can be made again by anybody, is the commit, and is there whole or not at all."""

from __future__ import annotations

import hashlib
import importlib
import io
import re
import shutil
import tarfile
import time
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from tests.deploy.running import copied, run, tracked
from tests.release.repository import PARTS, committed, contents, edited, script

PAIR = ("pegboard", "pegboard-house-prices")
#: What a build may not depend on, as expressions that tell of it.
TELLING = {
    "clock": "time.time_ns()",
    "zone": "time.tzname",
    "umask": "os.umask(0)",
    "place": "os.getcwd()",
    "order": "list(set('abcdefgh'))",
    "encoding": "locale.getpreferredencoding(False)",
    "age": "os.stat('pyproject.toml').st_mtime",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit of everything, with junk around it that no release may hold."""
    made = committed(copied(tmp_path_factory.mktemp("repository"), *PARTS))
    package = made / "framework" / "pegboard"
    (package / "left_over.py").write_text("raise SystemExit\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"junk")
    (made / "build" / "lib" / "pegboard").mkdir(parents=True)
    (made / "build" / "lib" / "pegboard" / "gone.py").write_text("raise SystemExit\n")
    edited(package / "errors.py", lambda text: f"{text}\nCHANGED = True\n")
    return made


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "dist"
    done = script(repository, "build.py", *PAIR, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (out / "SHA256SUMS").read_text()
    assert "without what differs from it (files: 2)" in done.stderr
    return out


def test_everything_is_there_with_its_digest(built: Path) -> None:
    assert {path.name for path in built.iterdir()} == {"SHA256SUMS", "packages"}
    archives = sorted(path.name for path in (built / "packages").iterdir())
    assert len(archives) == 4
    assert [name.partition("-")[0] for name in archives] == ["pegboard"] * 2 + ["pegboard_house_prices"] * 2
    assert run("sha256sum", "--check", "--strict", "../SHA256SUMS", cwd=built / "packages").stdout.count(": OK") == len(
        archives
    )


def test_another_clone_gives_the_same_bytes(repository: Path, built: Path, tmp_path: Path) -> None:
    clone, out = tmp_path / "elsewhere and later", tmp_path / "out"
    run("git", "clone", "--quiet", repository, clone)
    done = script(clone, "build.py", *PAIR, "--out", out, umask=0o077, TZ="America/St_Johns", LC_ALL="C", USER="else")
    assert done.returncode == 0, done.stderr
    assert "note:" not in done.stderr
    assert done.stdout == (built / "SHA256SUMS").read_text()


@pytest.mark.parametrize(
    ("distribution", "source", "package"),
    [
        ("pegboard", "framework", "pegboard"),
        ("pegboard_house_prices", "plugins/pegboard-house-prices/src", "pegboard_house_prices"),
    ],
)
def test_a_wheel_holds_what_git_knows_of_the_package_and_nothing_else(
    distribution: str, source: str, package: str, built: Path
) -> None:
    wanted = {name.removeprefix(f"{source}/") for name in tracked(f"{source}/{package}")}
    [wheel] = built.glob(f"packages/{distribution}-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        infos = {name.partition(".dist-info/")[2] for name in packed.namelist() if ".dist-info/" in name}
        modes = {member.external_attr >> 16 & 0o777 for member in packed.infolist()}
        assert b"CHANGED" not in (packed.read("pegboard/errors.py") if distribution == "pegboard" else b"")
    assert names == wanted
    assert f"{package}/py.typed" in names
    assert infos == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}
    assert modes <= {0o644, 0o755}


def test_an_sdist_tells_nothing_of_who_packed_it(built: Path) -> None:
    for path in built.glob("packages/*.tar.gz"):
        with tarfile.open(path) as packed:
            members = packed.getmembers()
        assert {(m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, "", "")}
        assert {m.mode for m in members} <= {0o644, 0o755}
        assert len({m.mtime for m in members}) == 1
        assert not [m.name for m in members if "__pycache__" in m.name or "left_over" in m.name or "gone" in m.name]


@pytest.fixture
def bad(tmp_path: Path, pristine: Path) -> Path:
    """A repository with a plugin that is another one each time it is built."""
    made = Path(shutil.copytree(pristine, tmp_path / "bad"))
    source = made / "plugins" / "pegboard-sklearn"
    lines = [
        "import locale, os, pathlib, time",
        "from setuptools import setup",
        "umask = os.umask(0); os.umask(umask)",
        *(f"pathlib.Path('src/pegboard_sklearn/{name}.py').write_text(repr({telling.replace('os.umask(0)', 'umask')}))"
          for name, telling in TELLING.items()),
        "setup()",
    ]  # fmt: skip
    (source / "setup.py").write_text("\n".join(lines))
    return committed(made)


def test_what_a_build_may_not_depend_on_is_found_and_named(bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    good = script(bad, "build.py", "pegboard-house-prices", "--out", out)
    assert good.returncode == 0, good.stderr
    before = contents(out)
    done = script(bad, "build.py", "pegboard-sklearn", "--out", out)
    assert (done.returncode, done.stdout) == (1, "")
    for name in TELLING:
        assert f"-py3-none-any.whl: pegboard_sklearn/{name}.py: contents differ, line 1: " in done.stderr, name
        assert f"/src/pegboard_sklearn/{name}.py: contents differ, line 1: " in done.stderr, name
    assert "pegboard_sklearn/models.py" not in done.stderr
    assert "nothing was written" in done.stderr
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_a_distribution_that_cannot_be_built_is_named(bad: Path, tmp_path: Path) -> None:
    (bad / "plugins" / "pegboard-sklearn" / "setup.py").write_text("raise RuntimeError('no such luck')\n")
    run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "worse", cwd=bad)
    done = script(bad, "build.py", "pegboard-sklearn", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "no such luck" in done.stderr
    assert "plugins/pegboard-sklearn" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kept", ["thesis.odt", "packages/thesis.odt", "thesis.tar.gz"])
def test_nothing_but_an_earlier_build_is_replaced(kept: str, repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    (out / "packages").mkdir(parents=True)
    (out / "SHA256SUMS").write_text("of before")
    (out / kept).write_text("ten years")
    done = script(repository, "build.py", "pegboard-house-prices", "--out", out)
    assert done.returncode == 1
    assert kept.removeprefix("packages/") in done.stderr
    assert "--out" in done.stderr
    assert contents(out) == {"SHA256SUMS": b"of before", kept: b"ten years"}


def test_an_earlier_build_is_replaced_as_a_whole(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    (out / "packages").mkdir(parents=True)
    (out / "SHA256SUMS").write_text("of before")
    (out / "packages" / "old-0.0.1.tar.gz").write_text("of before")
    done = script(repository, "build.py", "pegboard-house-prices", "--out", out)
    assert done.returncode == 0, done.stderr
    assert (
        sorted(name.partition("-")[0] for name in contents(out))
        == ["SHA256SUMS"] + ["packages/pegboard_house_prices"] * 2
    )
    assert (out / "SHA256SUMS").read_text() == done.stdout


@pytest.mark.parametrize("tool", ["setuptools", "uv", "twine"])
def test_another_tool_than_the_pinned_one_does_not_build(tool: str, copy: Path, tmp_path: Path) -> None:
    edited(
        copy / "release" / "requirements.txt", lambda text: re.sub(f"^{tool}==[^ ]+", f"{tool}==1.0", text, flags=re.M)
    )
    done = script(copy, "build.py", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert f"of {tool}, and release/requirements.txt names 1.0" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_none_is_refused(repository: Path, tmp_path: Path) -> None:
    done = script(repository, "build.py", "pegboard-sklaern", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "pegboard-sklaern" in done.stderr


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch, pristine: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(pristine / "release"))
    return importlib.import_module("archives")


def wheel(path: Path, *members: tuple[str, int, int, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, mode, year, content in members:
            info = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            info.external_attr = mode << 16
            packed.writestr(info, content)
    return path


A, B = ("a.py", 0o100644, 2020, b"1\n2\n"), ("b.py", 0o100644, 2020, b"")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ([A, B], []),
        ([A], ["b.py is only in the first build"]),
        ([A, B, ("c.py", 0o100644, 2020, b"")], ["c.py is only in the second build"]),
        ([("a.py", 0o100644, 2020, b"1\n3\n"), B], ["a.py: contents differ, line 2: '2' and '3'"]),
        ([("a.py", 0o100600, 2020, b"1\n2\n"), B], ["a.py: modes differ, 100644 and 100600"]),
        (
            [A, ("b.py", 0o100644, 2021, b"")],
            ["b.py: timestamps differ, (2020, 1, 1, 0, 0, 0) and (2021, 1, 1, 0, 0, 0)"],
        ),
        ([B, A], ["the order of the members differs"]),
    ],
)
def test_what_differs_is_said(
    other: list[tuple[str, int, int, bytes]], said: list[str], archives: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "2").mkdir()
    found = archives.differences(wheel(tmp_path / "x.whl", A, B), wheel(tmp_path / "2" / "x.whl", *other))
    assert found == [f"x.whl: {line}" for line in said]


def test_bytes_that_differ_for_no_reason_that_is_known_are_not_passed(archives: ModuleType, tmp_path: Path) -> None:
    one, other = wheel(tmp_path / "x.whl", A), tmp_path / "y.whl"
    with zipfile.ZipFile(shutil.copy(one, other), "a") as packed:
        packed.comment = b"hello"
    assert archives.differences(one, other) == ["x.whl: the same members, packed in another way"]


def test_a_settled_sdist_holds_what_it_held(archives: ModuleType, tmp_path: Path) -> None:
    path, long = tmp_path / "x.tar.gz", f"x/{'d' * 90}/{'f' * 120}.py"
    with tarfile.open(path, "w:gz") as packed:
        for name, mode in ((long, 0o600), ("x/run", 0o700)):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime, member.uname = 5, mode, time.time(), "somebody"
            packed.addfile(member, io.BytesIO(b"hello"))
    archives.settle(path, 1_700_000_000)
    first = hashlib.sha256(path.read_bytes()).digest()
    with tarfile.open(path) as packed:
        held = {m.name: (m.mode, m.mtime, m.uname, packed.extractfile(m).read()) for m in packed.getmembers()}  # type: ignore[union-attr]
    assert held == {long: (0o644, 1_700_000_000, "", b"hello"), "x/run": (0o755, 1_700_000_000, "", b"hello")}
    archives.settle(path, 1_700_000_000)
    assert hashlib.sha256(path.read_bytes()).digest() == first
