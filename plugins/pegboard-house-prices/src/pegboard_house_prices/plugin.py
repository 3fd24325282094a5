"""The source ``house-prices``: 11 features of a house, and what it sold for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pegboard import SourceSpec, hookimpl
from pegboard_house_prices.columns import FEATURES, KEY, TARGET

if TYPE_CHECKING:
    import pandas as pd


def _between(column: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    kwargs = {"column": column, "min_value": low, "max_value": high}
    return {"type": "expect_column_values_to_be_between", "kwargs": kwargs, **more}


EXPECTATIONS = [
    _between("SalePrice", 1, 10_000_000),
    _between("LotArea", 1, 1_000_000),
    _between("OverallCond", 1, 10),
    _between("YearBuilt", 1800, 2100),
    _between("YearRemodAdd", 1800, 2100),
    _between("TotalBsmtSF", 0, 20_000),
    _between("BsmtFinSF2", 0, 20_000),
    _between("SalePrice", 10_000, 1_000_000, severity="warning"),
    {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "TotalBsmtSF", "mostly": 0.95},
        "severity": "warning",
    },
    {
        "type": "expect_column_values_to_be_in_set",
        "kwargs": {"column": "BldgType", "value_set": ["1Fam", "2fmCon", "Duplex", "Twnhs", "TwnhsE"]},
        "severity": "warning",
    },
]


def load(path: str = "", url: str = "", timeout: float = 60.0) -> pd.DataFrame:
    """Load the table from a local file; where it is not found, download it there first.

    ``path`` defaults to the table that ships with this distribution, ``url`` to where that came from. A download
    takes ``timeout`` seconds at most.
    """
    from pegboard_house_prices.table import load_table

    return load_table(path, url, timeout)


@hookimpl
def register_sources() -> list[SourceSpec]:
    """The table of the first experiment."""
    return [
        SourceSpec(
            name="house-prices",
            task="regression",
            target=TARGET,
            keys=(KEY,),
            features=FEATURES,
            expectations=EXPECTATIONS,
            load=load,
            summary="2,930 house sales in Ames, Iowa, 2006 to 2010",
        )
    ]
