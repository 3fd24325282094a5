"""The bundles to serve: trained once, taken from the cache afterwards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments import HERE, ROOT

#: Those of the first experiment, which are measured unless others are named.
MODELS = ("linear-regression", "svr", "random-forest-regressor")
#: Boosted trees, of plugins that the peers' environments do not hold.
FAMILY = ("hist-gradient-regressor", "lightgbm-regressor", "xgboost-regressor")


@dataclass(frozen=True)
class Model:
    """A published version, its pipeline taken out of the bundle, and the house that every server is asked for.

    ``expected`` is what the fitted pipeline itself says; ``answer`` is the body of a right response.
    """

    name: str
    registry: Path
    directory: Path
    version: str
    kinds: dict[str, str]
    house: dict[str, Any]
    expected: float
    answer: str

    @property
    def pipeline(self) -> Path:
        """The pickled pipeline."""
        return self.directory / "pipeline.joblib"


def prepare(name: str, python: Path, cache: Path) -> Model:
    """Return the bundle of model ``name``, trained by ``pegboard train`` if the cache's registry has none."""
    registry, directory = cache / "registry" / name, cache / "models" / name
    if not (registry / "ledger").exists():
        print(f"training {name}", file=sys.stderr)
        command: list[str | Path] = [python.parent / "pegboard", "train", "--model", name, "--registry", registry]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    house = readme_house()
    export: list[str | Path] = [python, HERE / "programs" / "export.py", registry, json.dumps(house), directory]
    done = subprocess.run(export, check=True, stdout=subprocess.PIPE, text=True)
    return Model(name=name, registry=registry, directory=directory, house=house, **json.loads(done.stdout))


def readme_house() -> dict[str, Any]:
    """Return the house that the README asks the price of."""
    found = re.search(r"curl -d '(\[.*?\])'", (ROOT / "README.md").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("README.md holds no curl -d '[…]'")
    house: dict[str, Any]
    [house] = json.loads(found[1])
    return house
