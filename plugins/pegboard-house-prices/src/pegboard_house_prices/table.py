"""Reading the table, under its own headings or under those of the published data set.

Data: Dean De Cock, "Ames, Iowa: Alternative to the Boston Housing Data as an End of Semester Regression Project",
Journal of Statistics Education 19(3), 2011; as published by OpenIntro.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd

from pegboard import DataError
from pegboard_house_prices.columns import COLUMNS, HEADINGS
from pegboard_house_prices.download import download

URL = "https://www.openintro.org/data/csv/ames.csv"


def load_table(path: str, url: str, timeout: float) -> pd.DataFrame:
    """Return the table of ``path``; see :func:`pegboard_house_prices.plugin.load`."""
    local = Path(path) if path else Path(str(files("pegboard_house_prices") / "ames.csv"))
    origin = str(local)
    try:
        exists = local.exists()
    except OSError as error:
        raise DataError(f"cannot look for {local}: {error.strerror}") from error
    if not exists:
        origin = url or URL
        download(origin, local, check=read, timeout=timeout)
    table = read(local)
    table.attrs["origin"] = origin
    return table


def read(path: Path) -> pd.DataFrame:
    """Read a CSV file of house sales; raise :class:`DataError` if it is anything else."""
    try:
        table = pd.read_csv(path, compression=None, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is not a CSV file of house sales: {error}") from error
    if not isinstance(table.index, pd.RangeIndex):  # what pandas makes of a first row with fields too many
        raise DataError(f"{path} is not a CSV file of house sales: its rows have more fields than its heading")
    table = table.rename(columns=HEADINGS)
    if missing := [column for column in COLUMNS if column not in table]:
        found = ", ".join(map(str, table.columns[:5]))
        raise DataError(
            f"{path} is not a table of house sales: it lacks {', '.join(missing)} (it begins: {found[:200]})"
        )
    if twice := [column for column in COLUMNS if [*table.columns].count(column) > 1]:
        raise DataError(f"{path} is not a table of house sales: it has {', '.join(twice)} twice")
    if table.empty:
        raise DataError(f"{path} holds no rows")
    return table[COLUMNS]
