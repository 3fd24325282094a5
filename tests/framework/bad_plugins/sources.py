"""A plugin whose sources have a defect each, named by it; and good ones."""

from __future__ import annotations

from functools import partial

from pegboard import DataError, SourceSpec, hookimpl


def table(rows=30):
    import pandas as pd

    sizes, prices = [n / 7 for n in range(rows)], [2.0 * n for n in range(rows)]
    return pd.DataFrame({"id": range(rows), "size": sizes, "price": prices})


def changing():
    import numpy as np

    return table().assign(size=np.random.default_rng().normal(size=30))


def refusing(path=""):
    if path:
        raise DataError(f"cannot read {path}: put the table there")
    return table()


def failing(path=""):
    return {"": table()}[path]


def careless(**options):
    return table()


def configured(target="price"):
    if target not in table():
        raise DataError(f"no column {target!r}: name one of {', '.join(table())}")
    return SourceSpec(name="configured", task="regression", target=target, keys=("id",), load=table)


def needs_options(path):
    return table()


def _between(type_, low, high):
    return [{"type": type_, "kwargs": {"column": "size", "min_value": low, "max_value": high}}]


@hookimpl
def register_sources():
    source = partial(SourceSpec, target="price", keys=("id",), load=table, summary="one defect")
    known = "expect_column_values_to_be_between"
    return [
        source(name="good", load=refusing, expectations=_between(known, 0, 10), features={"size": "number"}),
        SourceSpec(name="good-configured", configure=configured, summary="good"),
        source(name="changing", load=changing),
        source(name="wrong-kind", features={"size": "integer"}),
        source(name="wrong-column", features={"area": "number"}),
        source(name="misspelt", expectations=_between("expect_column_values_to_be_betwen", 0, 10)),
        source(name="broken", expectations=_between(known, 0, 1)),
        source(name="failing", load=failing),
        source(name="careless", load=careless),
        source(name="needs-options", load=needs_options),
    ]
