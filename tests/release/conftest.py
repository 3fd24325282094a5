from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.deploy.running import copied
from tests.release.repository import PARTS, edited


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("pristine"), *PARTS)


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the repository as it is before a release of 1.2.0, whatever the version is today."""
    repository = Path(shutil.copytree(pristine, tmp_path / "repository"))
    text = "# Changelog\n\n## 1.2.0 (unreleased)\n\n### Added\n\n- A board.\n\n## 1.1.0 (2026-01-31)\n\n- A nail.\n"
    (repository / "CHANGELOG.md").write_text(text, encoding="utf-8")
    version = (repository / "setup.cfg").read_text().split("version = ")[1].split("\n")[0]
    for config in [repository / "setup.cfg", repository / "app/setup.cfg", *repository.glob("plugins/*/setup.cfg")]:
        edited(config, lambda text: text.replace(f"version = {version}\n", "version = 1.2.0\n"))
        if config.parent != repository:
            edited(config, lambda text: text.replace(f"=={version}\n", "==1.2.0\n"))
    return repository


@pytest.fixture
def dated(copy: Path) -> Path:
    edited(copy / "CHANGELOG.md", lambda text: text.replace("(unreleased)", "(2026-12-01)"))
    return copy
