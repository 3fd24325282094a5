"""An observer that wants something that its hook does not have."""

from __future__ import annotations

from pegboard import hookimpl


@hookimpl
def after_publish(experiment, versions):
    return None
