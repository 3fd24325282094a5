"""The table's columns: what they hold, and what the published data set calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pegboard.specs import Kind

KEY = "Id"
TARGET = "SalePrice"

FEATURES: dict[str, Kind] = {
    "MSSubClass": "integer",
    "MSZoning": "category",
    "LotArea": "integer",
    "LotConfig": "category",
    "BldgType": "category",
    "OverallCond": "integer",
    "YearBuilt": "integer",
    "YearRemodAdd": "integer",
    "Exterior1st": "category",
    "BsmtFinSF2": "number",
    "TotalBsmtSF": "number",
}

COLUMNS = [KEY, *FEATURES, TARGET]

#: The published headings, and ours.
HEADINGS = {
    "Order": "Id",
    "MS.SubClass": "MSSubClass",
    "MS.Zoning": "MSZoning",
    "Lot.Area": "LotArea",
    "Lot.Config": "LotConfig",
    "Bldg.Type": "BldgType",
    "Overall.Cond": "OverallCond",
    "Year.Built": "YearBuilt",
    "Year.Remod.Add": "YearRemodAdd",
    "Exterior.1st": "Exterior1st",
    "BsmtFin.SF.2": "BsmtFinSF2",
    "Total.Bsmt.SF": "TotalBsmtSF",
    "price": "SalePrice",
}
