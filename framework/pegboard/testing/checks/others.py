"""What must hold of every spec, and of those that cannot be tried without what they are for."""

from __future__ import annotations

import click

from pegboard.catalog import SPECS
from pegboard.testing.kit import Failed, Subject, attempting, check, imported


def described(subject: Subject) -> None:
    """`pegboard plugins list` shows it."""
    if not subject.spec.summary.strip():
        raise Failed("summary is empty: say in a few words what it is")


for _spec_type in SPECS:
    check(_spec_type.kind, "described", "its summary says what it is")(described)


@check("command", "imports", "its click command can be imported")
def imports(subject: Subject) -> None:
    """As it is when somebody calls it."""
    with attempting(f"importing {subject.spec.load}"):
        found = imported(subject.spec.load)
    if not isinstance(found, click.Command):
        raise Failed(f"{subject.spec.load} is a {type(found).__name__}, not a click command")
