"""Publish a model of house prices and one of iris, and write rows for each: what the clients are going to ask.

Called by ``run.py`` with the interpreter that has Pegboard; its argument is a directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_iris

from pegboard import SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import Plugin, load_plugins
from pegboard.training import pipeline
from pegboard_house_prices.plugin import load


def load_flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    return iris.data.assign(species=iris.target_names[iris.target])


class Flowers:
    @hookimpl
    def register_sources(self) -> list[SourceSpec]:
        return [SourceSpec(name="iris", task="classification", target="species", load=load_flowers)]


def publish(directory: Path) -> None:
    manager = load_plugins()
    manager.add(Flowers(), Plugin("flowers", "flowers", "1"))
    catalog = Catalog(manager)
    for source, model in (("house-prices", "random-forest-regressor"), ("iris", "logistic-regression")):
        experiment = Experiment(name=source, source=source, models=(model,), registry=str(directory / "registry"))
        pipeline.run(experiment, manager, catalog)
    houses = load().drop(columns="SalePrice")
    # Every 50th house, and the ones of which something is not known.
    houses[(houses.index % 50 == 0) | houses.isna().any(axis=1)].to_csv(directory / "house-prices.csv", index=False)
    load_flowers().drop(columns="species").to_csv(directory / "iris.csv", index=False)


publish(Path(sys.argv[1]))
