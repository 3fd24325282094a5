"""What the ledger says: its entries, what was where at a time, and whether it is whole."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pegboard.cli.output import console, print_json, table
from pegboard.cli.places import find_registry, registry_flags
from pegboard.cli.times import Since, Time, both, local
from pegboard.errors import RegistryError
from pegboard.ledger import SERVING, Entry, State
from pegboard.registry import Registry

#: An image's digest, ``sha256:`` and its first digits, as a table shows it.
IMAGE = len("sha256:") + 12


@click.command()
@registry_flags
@click.argument("name", required=False)
@click.option("--alias", help="Only what has moved this alias, or was deployed in this environment.")
@click.option("--since", type=Since(), help="Only what has happened since: 12h, 7d, 2w, or a date such as 2026-11-01.")
def history(
    name: str | None, alias: str | None, since: datetime | None,
    registry: str | None, config: Path | None, env: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show everything that has happened, oldest first: who did what, when, why, and what the gate said."""
    found = find_registry(registry, config, env)
    if name is not None:
        _refuse_unknown(found, name)
    chain = found.ledger.chain()
    chosen = [
        (entry, digest)
        for entry, digest in zip(chain.entries, chain.hashes, strict=True)
        if (name in (None, entry.name) or not entry.name)  # a withdrawal is of no name, and matters to each
        and (alias is None or alias in (*entry.aliases, entry.environment))
        and (since is None or datetime.fromisoformat(entry.at) >= since)
    ]
    if as_json:
        print_json([{**asdict(entry), "hash": digest} for entry, digest in chosen])
        return
    if not chosen:
        console().print("nothing has happened" + " that is like that" * (len(chain.entries) > 0))
        return
    shown = table("entry", "when", "what", "version", "where", "who", "gate", "why", right=("entry",))
    for entry, _ in chosen:
        style = "yellow" if entry.gate.get("forced") else None
        shown.add_row(str(entry.number), local(entry.at), entry.action, str(entry), _where(entry), entry.actor,
                      _gate(entry), entry.reason, style=style)  # fmt: skip
    console().print(shown)


def _where(entry: Entry) -> str:
    if entry.action in SERVING:
        told = f" (since {local(entry.since)})" if entry.deployment.get("since") else ""
        return f"{entry.environment}: {', '.join(entry.deployment['hosts'])}{told}"
    return ", ".join(entry.aliases)


def _gate(entry: Entry) -> str:
    if not entry.gate:
        return "" if entry.action != "promoted" else "none"
    failed = [finding["rule"] for finding in entry.gate.get("findings", ()) if not finding["passed"]]
    return f"forced past {', '.join(failed)}" if failed else "passed"


@click.command()
@registry_flags
@click.argument("time", type=Time())
@click.argument("name", required=False)
def at(
    time: datetime, name: str | None, registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Show what every alias pointed at, and what every machine served, at a time: "2026-11-17T14:05"."""
    found = find_registry(registry, config, env)
    if name is not None:
        _refuse_unknown(found, name)
    state = found.ledger.at(time)
    aliases, machines = _aliases(state, name), _machines(state, name)
    if as_json:
        print_json({"at": time.isoformat(), "aliases": aliases, "machines": machines})
        return
    out = console()
    out.print(f"at {both(time)}", style="bold")
    if not aliases and not machines:
        out.print("no alias was set yet, and nothing deployed")
    for title, rows in (("alias", aliases), ("machine", machines)):
        if rows:
            shown = table(title, "version", "digest", *(["image"] if title == "machine" else []), "since", "who")
            for row in rows:
                image = [row["image"][:IMAGE]] if title == "machine" else []
                version, since = row["version"] or "nothing", local(row["since"])
                shown.add_row(row[title], version, row["digest"][:12], *image, since, row["actor"])
            out.print(shown)


def _aliases(state: State, name: str | None) -> list[dict[str, Any]]:
    return [
        {"alias": f"{named}@{alias}", "version": str(entry), "digest": state.published[named][entry.version - 1].bundle,
         "since": entry.at, "actor": entry.actor, "entry": entry.number}
        for (named, alias), entry in sorted(state.moved.items())
        if name in (None, named)
    ]  # fmt: skip


def _machines(state: State, name: str | None) -> list[dict[str, Any]]:
    return [
        {"machine": f"{environment}: {host}", "environment": environment, "host": host,
         "version": str(entry) if entry.name else None,
         "digest": entry.bundle, "image": entry.deployment["image"],
         "since": entry.deployment.get("since") or entry.at, "recorded": entry.at, "actor": entry.actor,
         "entry": entry.number}
        for (environment, host), entry in sorted(state.machines.items())
        if name in (None, entry.name) or not entry.name
    ]  # fmt: skip


def _refuse_unknown(registry: Registry, name: str) -> None:
    if name not in registry.ledger.state().published:
        registry.resolve(name)  # raises, with the names nearby


@click.group()
def ledger() -> None:
    """Check the ledger."""


@ledger.command()
@registry_flags
@click.option("--head", default="", help="The hash that was the last entry's once: shows what was cut off since.")
def verify(head: str, registry: str | None, config: Path | None, env: str | None, as_json: bool) -> None:
    """Read every entry anew and follow the chain of hashes; exit status 1 if anything was changed.

    The last line is the hash of the last entry. Keep it somewhere else: with --head it shows later whether entries
    were cut off, which a chain alone cannot show.
    """
    found = find_registry(registry, config, env)
    chain = found.ledger.verify(head)
    if not chain.entries:
        raise RegistryError(f"{found.store} holds no ledger: is that the place? `pegboard train` begins one there")
    if as_json:
        print_json({"location": str(found.store), "entries": len(chain.entries), "head": chain.head})
        return
    click.echo(f"{found.store}: {len(chain.entries)} ledger entries: ok")
    click.echo(chain.head)
