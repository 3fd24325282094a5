"""Stage 1: ask the source for its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pegboard.errors import DataError, PegboardError
from pegboard.specs import SourceSpec, check_options


def load(source: SourceSpec, options: Mapping[str, Any]) -> pd.DataFrame:
    """Return the source's table with a plain index; raise :class:`DataError` naming the source if it fails."""
    check_options(source.load, options, f"source {source.name!r}")
    try:
        frame = source.load(**options)
    except PegboardError:
        raise
    except Exception as error:
        raise DataError(f"source {source.name!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"source {source.name!r} gave a {type(frame).__name__}, not a pandas.DataFrame")
    if frame.empty:
        raise DataError(f"source {source.name!r} gave a table without rows or columns")
    return frame.reset_index(drop=True)
