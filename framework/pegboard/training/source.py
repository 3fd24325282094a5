"""Stage 1: ask the source for its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pegboard.errors import DataError, PegboardError, PluginError
from pegboard.specs import SourceSpec, check_options


def configured(source: SourceSpec, options: Mapping[str, Any]) -> tuple[SourceSpec, Mapping[str, Any]]:
    """Return the source whose task and target are known, and the options that are left for its ``load``.

    Raises :class:`~pegboard.errors.ConfigError` for an option that the source does not have.
    """
    where = f"source {source.name!r}"
    if source.load is not None:
        check_options(source.load, options, where)
        return source, options
    if source.configure is None:
        raise PluginError(f"{where} has neither load nor configure")
    check_options(source.configure, options, where)
    try:
        whole = source.configure(**options)
    except PegboardError:
        raise
    except Exception as error:
        raise DataError(f"{where} failed: {type(error).__name__}: {error}") from error
    if not isinstance(whole, SourceSpec) or whole.load is None:
        raise PluginError(f"{where}: configure gave {type(whole).__name__}, not a SourceSpec with load")
    return whole, {}


def load(source: SourceSpec, options: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table of a :func:`configured` source with a plain index.

    Raises :class:`DataError` naming the source if it fails.
    """
    if source.load is None:
        raise PluginError(f"source {source.name!r} is not configured yet")
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
