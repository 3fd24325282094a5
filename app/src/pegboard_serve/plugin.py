"""Brings ``pegboard serve`` and ``pegboard token``."""

from __future__ import annotations

from pegboard import CommandSpec, hookimpl


@hookimpl
def register_commands() -> list[CommandSpec]:
    """Register the commands; Flask is imported when a process serves."""
    return [
        CommandSpec(name="serve", load="pegboard_serve.command:serve", summary="Serve a published version over HTTP."),
        CommandSpec(name="token", load="pegboard_serve.command:token", summary="Make a bearer token for a server."),
    ]
