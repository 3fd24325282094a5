"""Brings ``pegboard serve``."""

from __future__ import annotations

from pegboard import CommandSpec, hookimpl


@hookimpl
def register_commands() -> list[CommandSpec]:
    """Register the one command; Flask is imported when it is called."""
    return [
        CommandSpec(name="serve", load="pegboard_serve.command:serve", summary="Serve a published version over HTTP.")
    ]
