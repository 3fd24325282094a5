"""Which distribution a module belongs to, and what that requires: read from installations, real ones and made ones."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pegboard.distributions import locked, origin, owner

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lay a distribution out as pip does, on the path of this process."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    known = set(sys.modules)

    def made(name: str, number: str = "1.0", files: tuple[str, ...] = (), requires: tuple[str, ...] = (),
             record: bool = True, **information: str) -> None:  # fmt: skip
        directory = site / f"{name.replace('-', '_')}-{number}.dist-info"
        directory.mkdir()
        lines = [f"Name: {name}", f"Version: {number}", *(f"Requires-Dist: {line}" for line in requires)]
        (directory / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        for file in files:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).touch()
        if record:
            (directory / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        for file, text in information.items():
            (directory / file.replace("_json", ".json").replace("_txt", ".txt")).write_text(text)
        importlib.invalidate_caches()

    yield made
    for module in set(sys.modules) - known:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(site)):
            del sys.modules[module]


def owned(module: str) -> str | None:
    importlib.import_module(module)
    return owner(module)


def test_a_module_belongs_to_the_distribution_that_lists_its_file_whatever_that_is_called() -> None:
    assert owned("sklearn.svm._classes") == "scikit-learn"
    assert owned("numpy._core._multiarray_umath") == "numpy"
    assert owned("dateutil.parser") == "python-dateutil"
    assert owned("six") == "six"


def test_our_own_distributions_are_known_as_well_as_those_from_an_index() -> None:
    assert owned("pegboard.preprocessing") == "pegboard"
    assert owned("pegboard_serve.plugin") == "pegboard-serve"
    assert owned("pegboard_sklearn.plugin") == "pegboard-sklearn"


def test_a_module_beside_a_project_that_is_no_part_of_it_belongs_to_nobody() -> None:
    assert Path(__file__).is_file()
    assert owner(__name__) is None
    assert owner("never.imported") is None


def test_distributions_that_share_a_package_own_the_files_that_each_has_brought(install: Install) -> None:
    install("Shared.One", files=("shared/one.py", "shared/deep/__init__.py"))
    install("shared-two", files=("shared/two.py", "shared/deep/two.py"))

    assert owned("shared.one") == "shared-one"
    assert owned("shared.deep") == "shared-one"
    assert owned("shared.two") == "shared-two"
    assert owned("shared.deep.two") == "shared-two"


def test_of_two_distributions_of_one_package_the_one_that_brought_the_file_owns_it(install: Install) -> None:
    install("boosted", files=("boosted_docs/page.py",), top_level_txt="boosted\n")
    install("boosted-cpu", files=("boosted/__init__.py", "boosted/model.py"), top_level_txt="boosted\n")

    assert owned("boosted.model") == "boosted-cpu"


def test_a_file_that_no_list_has_belongs_to_nobody(install: Install, tmp_path: Path) -> None:
    install("listed", files=("listed/__init__.py",))
    (tmp_path / "site" / "listed" / "added.py").touch()

    assert owned("listed") == "listed"
    assert owned("listed.added") is None


def test_a_distribution_without_a_list_has_what_lies_beside_it(install: Install) -> None:
    install("debian-like", files=("debian_like/__init__.py",), record=False, top_level_txt="debian_like\n")
    assert owned("debian_like") == "debian-like"


def test_a_module_that_an_extension_makes_belongs_where_its_package_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy.made_in_c", ModuleType("numpy.made_in_c"))
    assert owner("numpy.made_in_c") == "numpy"
    monkeypatch.setitem(sys.modules, "made_in_c", ModuleType("made_in_c"))
    assert owner("made_in_c") is None


def test_what_is_installed_later_in_the_same_process_is_found(install: Install) -> None:
    install("first", files=("first_package/__init__.py",))
    assert owned("first_package") == "first"
    install("second", files=("second_package/__init__.py",))
    assert owned("second_package") == "second"


PROJECTS = {
    "setuptools-src": ("setuptools", "setuptools.build_meta", "src/in_src", "in_src", ""),
    "setuptools-finder": (
        "setuptools",
        "setuptools.build_meta",
        "lib",
        "mapped",
        '[tool.setuptools]\npackages = ["mapped"]\npackage-dir = {mapped = "lib"}\n',
    ),
    "hatchling-src": ("hatchling", "hatchling.build", "src/hatchling_src", "hatchling_src", ""),
    "flit-flat": ("flit_core", "flit_core.buildapi", "flit_flat", "flit_flat", ""),
}
ASK = """
import importlib, json, sys
from pegboard.distributions import origin, owner
modules = sys.argv[1:]
print(json.dumps({module: owner(importlib.import_module(module).__name__) for module in modules}))
"""


def _project(directory: Path, name: str) -> Path:
    requires, backend, package, _, more = PROJECTS[name]
    (directory / name / package).mkdir(parents=True)
    (directory / name / package / "__init__.py").write_text('"""A package."""\n')
    (directory / name / package / "models.py").touch()
    (directory / name / "beside.py").touch()
    system = f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
    project = f'[project]\nname = "{name}"\nversion = "1"\ndescription = "A project."\n'
    (directory / name / "pyproject.toml").write_text(system + project + more)
    return directory / name


def test_editable_installations_of_every_layout_and_backend_are_known(tmp_path: Path) -> None:
    """Projects that lie in one another, and whose directories hold other modules that can be imported."""
    outer = _project(tmp_path, "setuptools-src")
    projects = [outer, *(_project(outer, name) for name in PROJECTS if name != "setuptools-src")]
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True, timeout=120)
    python = str(tmp_path / "venv" / "bin" / "python")
    editable = [argument for project in projects for argument in ("-e", str(project))]
    subprocess.run(
        [*uv, "pip", "install", "--quiet", "--python", python, "--no-deps", *editable], check=True, timeout=300
    )
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")

    modules = [f"{package}.models" for *_, package, _ in PROJECTS.values()]
    asked = [python, "-c", ASK, *modules, "beside", "sklearn.base"]
    done = subprocess.run(asked, cwd=outer, capture_output=True, text=True, check=True, timeout=120)

    assert json.loads(done.stdout) == {
        **dict(zip(modules, PROJECTS, strict=True)),
        "beside": None,
        "sklearn.base": "scikit-learn",
    }


def test_a_lock_holds_what_is_required_in_turn_here_and_not_elsewhere(install: Install) -> None:
    install("a", requires=("B>=1", "never-installed", "other; sys_platform == 'nowhere'", "asked; extra == 'more'"))
    install("b", "2.0", requires=("c[more]", "a"))
    install("c", "3.0", requires=("asked; extra == 'more'", "other; extra == 'less'", "not a requirement at all!"))
    install("asked", "4.0+cpu")
    install("other", "5.0")

    assert locked(["a"]) == {"a": "1.0", "asked": "4.0+cpu", "b": "2.0", "c": "3.0"}
    assert locked(["c"]) == {"c": "3.0"}
    assert locked(["never-installed"]) == {}


def test_a_lock_of_what_is_really_installed_holds_all_that_it_imports() -> None:
    found = locked(["scikit-learn"])
    assert {"numpy", "scipy", "joblib", "threadpoolctl"} < set(found)
    assert found["numpy"] == np.__version__ == version("numpy")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"url": "file:///home/x/project", "dir_info": {"editable": True}}, "a directory, editable"),
        ({"url": "file:///home/x/project", "dir_info": {}}, "a directory"),
        ({"url": "file:///home/x/a-1-py3-none-any.whl", "archive_info": {}}, "a file"),
        ({"url": "https://key:word@example.org/a.whl?token=1", "archive_info": {}}, "https://example.org/a.whl"),
        (
            {"url": "https://me@example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}},
            "git+https://example.org/a.git@0a1b",
        ),
    ],
)
def test_the_origin_of_a_direct_installation_is_told_without_secrets(install: Install, told: object, said: str) -> None:
    install("direct", direct_url_json=json.dumps(told))
    install("from-index")

    assert origin("direct") == said
    assert origin("from-index") is None
