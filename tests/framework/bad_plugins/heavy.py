"""A plugin that imports its library when it is listed."""

from __future__ import annotations

from sklearn.linear_model import Ridge

from pegboard import ModelSpec, hookimpl


@hookimpl
def register_models():
    return [ModelSpec(name="heavy", task="regression", make=Ridge, summary="imported too soon")]
