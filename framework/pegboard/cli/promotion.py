"""Moving aliases, and writing down where versions went: promote, roll back, record a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pegboard.cli.main import Board
from pegboard.cli.output import as_json, config_file, console, print_json, table
from pegboard.cli.places import env_flag, environment_registry, find_registry, registry_flag
from pegboard.cli.times import Since, local
from pegboard.config import load_environment
from pegboard.environments import Environment
from pegboard.errors import RegistryError
from pegboard.ledger import CHAMPION, PRODUCTION, Entry
from pegboard.registry import Registry, Version, check_alias

if TYPE_CHECKING:
    from pegboard.gate.rule import GateReport, Promotion


@click.command()
@config_file
@registry_flag
@click.argument("version")
@click.option("--to", "to", required=True, metavar="ENV", help="The environment that takes it: staging, production.")
@click.option("--data", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A CSV or Parquet file of newer labelled rows to compare on, in place of the hold-out.")  # fmt: skip
@click.option("--force", is_flag=True, help="Promote although a rule does not hold; needs --reason.")
@click.option("--reason", default="", help="Why; kept in the ledger.")
@click.option("--dry-run", is_flag=True, help="Ask the gate, and change nothing.")
@as_json
@click.pass_obj
def promote(
    board: Board, version: str, to: str, data: Path | None, force: bool, reason: str, dry_run: bool,
    registry: str | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Let the gate judge a version, and point an environment's alias at it if every rule holds.

    VERSION is name, name/7 or name@alias. Exit status 1, and nothing changed, if a rule does not hold.
    """
    if force and not reason.strip():
        raise click.UsageError("--force needs --reason: it is on the record")
    environment = load_environment(to, config, registry=registry)
    check_alias(environment.alias)
    previous = load_environment(environment.after, config, registry=registry) if environment.after else None
    target = environment_registry(environment)
    promotion = _promotion(board, find_registry(registry, config, None), version, environment, previous, data, dry_run)
    report = replace(_judged(promotion), forced=force)
    if not as_json:
        _show(report)
    if dry_run or (not report.passed and not force):
        if as_json:
            print_json({"promoted": False, "gate": report.to_dict()})
        if not report.passed:
            _refuse(report)
        return
    entry = target.promote(
        str(promotion.version), environment.alias, environment=to, gate=report.to_dict(), reason=reason
    )
    board.manager.notify("after_promote", entry=entry, registry=target)
    if as_json:
        print_json({"promoted": True, "entry": asdict(entry), "gate": report.to_dict()})
        return
    champion = ", the champion" if to == PRODUCTION and report.passed else ""
    console().print(f"{entry.name}@{entry.alias} is {entry}{champion}  (ledger entry {entry.number})", style="bold")


def _promotion(
    board: Board, source: Registry, reference: str, environment: Environment, previous: Environment | None,
    data: Path | None, dry_run: bool,
) -> Promotion:  # fmt: skip
    from pegboard.gate.rule import Promotion

    # Signatures are a rule of the gate, which says so; here they would only stop it from being asked.
    target = Registry(environment.registry)
    version = _in(target, source, source.resolve(reference), dry_run)
    state = target.ledger.state()
    crowned = (version.name, CHAMPION) in state.trails
    return Promotion(
        registry=target,
        version=version,
        bundle=target.open(version),
        champion=target.resolve(f"{version.name}@{CHAMPION}") if crowned else None,
        environment=environment,
        previous=previous,
        catalog=board.catalog,
        data=data,
    )


def _in(target: Registry, source: Registry, version: Version, dry_run: bool) -> Version:
    """Return the version as the environment's registry knows it; take it in if it comes from another."""
    if str(target.store) == str(source.store):
        return version
    if (known := target.find(version.name, version.digest)) is not None:
        return known
    if dry_run:
        raise RegistryError(f"{target.store} does not hold {version} of {source.store} yet: promote without --dry-run")
    return target.take(source.open(version), source.signatures(version), f"from {source.store}, {version}")


def _judged(promotion: Promotion) -> GateReport:
    from pegboard.gate.run import Listener, run_gate

    with console(stderr=True).status("the gate") as status:

        class Shown(Listener):
            def begins(self, rule: str, number: int, total: int) -> None:
                status.update(f"the gate: {rule} ({number} of {total})")

        return run_gate(promotion, Shown())


def _refuse(report: GateReport) -> None:
    from pegboard.gate.run import GateRefused

    raise GateRefused(report)


def _show(report: GateReport) -> None:
    shown = table("", "rule", "found", "allowed", title=f"{report.version} for {report.environment}")
    for finding in report.findings:
        mark, style = ("✓", None) if finding.passed else ("✗", "red")
        shown.add_row(mark, finding.rule, finding.found, finding.limit, style=style)
    console().print(shown)


@click.command()
@config_file
@registry_flag
@click.argument("where", metavar="[NAME@]ENV")
@click.option("--to", type=click.IntRange(min=1), help="The version to go back to (default: the one before).")
@click.option("--reason", default="", help="Why; kept in the ledger.")
@as_json
@click.pass_obj
def rollback(
    board: Board, where: str, to: int | None, reason: str, registry: str | None, config: Path | None, as_json: bool
) -> None:
    """Point an environment's alias back at the version before, its files checked first. Twice is two steps back."""
    name, _, env = where.rpartition("@")
    environment = load_environment(env, config)
    found = environment_registry(environment, registry)
    name = name or found.name_of(environment.model)
    entry = found.rollback(name, environment.alias, to, environment=env, reason=reason)
    board.manager.notify("after_promote", entry=entry, registry=found)
    if as_json:
        print_json(asdict(entry))
        return
    console().print(f"{entry.name}@{entry.alias} is {entry} again  (ledger entry {entry.number})", style="bold")


@click.command("record-deploy")
@config_file
@registry_flag
@env_flag
@click.argument("version", required=False)
@click.option("--host", "hosts", multiple=True, required=True, help="A machine that serves it. Repeatable.")
@click.option("--image", default="", help="The image's digest: sha256:…")
@click.option("--digest", default="", help="The bundle's digest as the machines report it; refused if it is another.")
@click.option("--nothing", is_flag=True, help="They serve nothing any more: they were taken down.")
@click.option("--since", type=Since(),
              help="Since when, if not now: 2026-11-01T02:05 (local time, unless it names a zone), or 7h.")  # fmt: skip
@click.option("--reason", default="", help="Why; kept in the ledger.")
@as_json
def record_deploy(
    version: str | None, env: str | None, hosts: Sequence[str], image: str, digest: str, nothing: bool,
    since: datetime | None, reason: str, registry: str | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Write down that machines serve a version (default: what the environment's alias points at), for `models at`.

    With --since, an alias is what it was then. With --nothing, the machines serve no version from then on.
    """
    if env is None:
        raise click.UsageError("name the environment of the machines: --env production")
    if nothing and (version or image or digest):
        raise click.UsageError("--nothing is said of machines alone: without a version, --image and --digest")
    environment = load_environment(env, config)
    found = Registry(registry or environment.registry)
    if nothing:
        _recorded(found.record_nothing(env, hosts, reason, since), as_json)
        return
    deployed = found.resolve(version or f"{found.name_of(environment.model)}@{environment.alias}", since)
    if digest and digest.removeprefix("sha256:") != deployed.digest:
        raise RegistryError(f"the machines serve {digest}, and {deployed} is sha256:{deployed.digest}: deploy again")
    _recorded(found.record_deploy(deployed, env, hosts, image, reason, since), as_json)


def _recorded(entry: Entry, as_json: bool) -> None:
    if as_json:
        print_json(asdict(entry))
        return
    told = f" since {local(entry.since)}" if entry.deployment.get("since") else ""
    hosts = ", ".join(entry.deployment["hosts"])
    console().print(f"{hosts} in {entry.environment}: {entry}{told}  (ledger entry {entry.number})", style="bold")
