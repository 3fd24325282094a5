"""Brings ``pegboard serve`` and ``pegboard token``, and the gate's rule ``serving``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pegboard import CommandSpec, RuleSpec, hookimpl

if TYPE_CHECKING:
    from pegboard.gate.rule import Outcome, Promotion


@hookimpl
def register_commands() -> list[CommandSpec]:
    """Register the commands; Flask is imported when a process serves."""
    return [
        CommandSpec(name="serve", load="pegboard_serve.command:serve", summary="Serve a published version over HTTP."),
        CommandSpec(name="token", load="pegboard_serve.command:token", summary="Make a bearer token for a server."),
    ]


@hookimpl
def register_rules() -> list[RuleSpec]:
    """Register the rule that serves a version before an environment does."""
    return [
        RuleSpec(name="serving", check=_serving, summary="it answers as stored over HTTP, soon enough and small enough")
    ]


def _serving(promotion: Promotion) -> Outcome:
    from pegboard_serve.gate import serving

    return serving(promotion)
