"""``pegboard models``: what the registry holds, and where it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pegboard.bundle import Bundle
from pegboard.cli.export import export
from pegboard.cli.history import at, history
from pegboard.cli.output import console, print_json, print_leaderboard, table
from pegboard.cli.places import find_registry, registry_flags
from pegboard.cli.promotion import promote, record_deploy, rollback
from pegboard.cli.replay import replay
from pegboard.cli.requirements import requirements
from pegboard.config import experiment_name
from pegboard.difference import differences
from pegboard.errors import BundleError, PegboardError, RegistryError
from pegboard.registry import Registry, Version
from pegboard.runs.words import figure


@click.group()
def models() -> None:
    """List, show, compare, promote and roll back published versions."""


for command in (promote, rollback, history, at, record_deploy, requirements, export, replay):
    models.add_command(command)


@models.command("list")
@registry_flags
@click.argument("name", required=False)
def list_(name: str | None, registry: str | None, config: Path | None, env: str | None, as_json: bool) -> None:
    """List published versions, of all names or of one."""
    found = find_registry(registry, config, env)
    versions = found.versions(name)
    if name and not versions:
        found.resolve(name)  # raises, with the names nearby
    if as_json:
        print_json([_summary(version, _opened(found, version)) for version in versions])
        return
    if not versions:
        console().print(f"{found.store} holds no versions yet; `pegboard train` publishes one")
        return
    shown = table(
        "version", "model", "score", "hold-out", "published", "aliases", "digest", right=("score", "hold-out")
    )
    for version in versions:
        published = version.published_at[:16].replace("T", " ")
        known = published, ", ".join(version.aliases), version.digest[:12]
        bundle = _opened(found, version)
        if bundle is None:
            shown.add_row(str(version), "damaged", "", "", *known, style="red")
            continue
        metrics = bundle.manifest["metrics"]
        holdout = "" if metrics["holdout"] is None else figure(metrics["holdout"])
        shown.add_row(str(version), bundle.model, f"{metrics['scorer']} {figure(metrics['mean'])}", holdout, *known)
    console().print(shown)


def _opened(registry: Registry, version: Version) -> Bundle | None:
    """Return a version's bundle, ``None`` for a damaged one: a list shows the others all the same."""
    try:
        return registry.open(version)
    except BundleError:
        return None


@models.command()
@registry_flags
@click.argument("version")
def show(version: str, registry: str | None, config: Path | None, env: str | None, as_json: bool) -> None:
    """Show one version: how it was made, on what, and how it compared. VERSION is name, name/7 or name@alias."""
    found = find_registry(registry, config, env)
    resolved = found.resolve(version)
    bundle, signatures = found.open(resolved), found.signatures(resolved)
    if as_json:
        print_json({**_summary(resolved, bundle), "signatures": list(signatures), "manifest": bundle.manifest})
        return
    out, manifest = console(), bundle.manifest
    facts = table("", "", title=str(resolved))
    facts.show_header = False
    for label, text in [*_facts(resolved, manifest), ("signed by", ", ".join(signatures) or "nobody")]:
        facts.add_row(label, text)
    out.print(facts)
    print_leaderboard(bundle.leaderboard, out, bundle.model)


def _facts(version: Version, manifest: Any) -> list[tuple[str, str]]:
    metrics, data, git = manifest["metrics"], manifest["data"], manifest.get("git")
    libraries = ", ".join(f"{name} {number}" for name, number in manifest["libraries"].items())
    plugins = ", ".join(f"{p['distribution']} {p['version']}" for p in manifest["plugins"] if p["distribution"])
    holdout = (
        "none" if metrics["holdout"] is None else f"{figure(metrics['holdout'])} on {metrics['holdout_rows']} rows"
    )
    commit = "none" if git is None else git["commit"] + (" with changes" if git["changed"] else "")
    return [
        ("model", manifest["model"]),
        ("digest", f"sha256:{version.digest}"),
        ("published", f"{version.published_at} by {version.actor}"),
        ("aliases", ", ".join(version.aliases) or "none"),
        (f"{metrics['scorer']}, {metrics['folds']} folds", figure(metrics["mean"])),
        (f"{metrics['scorer']}, hold-out", holdout),
        ("data", f"{data['rows']:,} rows from {data['origin']}, sha256:{data['fingerprint'][:12]}"),
        ("libraries", f"Python {manifest['python']}, {libraries}"),
        ("plugins", plugins or "none"),
        ("git", commit),
    ]


@models.command()
@registry_flags
@click.argument("version", required=False)
def verify(version: str | None, registry: str | None, config: Path | None, env: str | None, as_json: bool) -> None:
    """Check the ledger, and every file of one version or of all, against their digests; exit status 1 if any fails."""
    found = find_registry(registry, config, env)
    versions = found.versions() if version is None else [found.resolve(version)]
    outcome = {str(v): _verified(found, v) for v in versions}
    if as_json:
        print_json([{"version": name, "ok": problem is None, "problem": problem} for name, problem in outcome.items()])
    else:
        for name, problem in outcome.items():
            click.echo(f"{name}: ok" if problem is None else f"{name}: {problem}")
        click.echo(f"{len(found.ledger.entries())} ledger entries: ok")
    if bad := [name for name, problem in outcome.items() if problem is not None]:
        raise RegistryError(f"{len(bad)} of {len(versions)} versions cannot be trusted: {', '.join(bad)}")


def _verified(registry: Registry, version: Version) -> str | None:
    try:
        registry.verify(version)
    except PegboardError as error:
        return str(error)
    return None


@models.command("import")
@registry_flags
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--reason", default="", help="Why; kept in the ledger.")
def import_(
    directory: Path, reason: str, registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Take a bundle that was trained elsewhere into the registry, its digests checked; nothing is unpickled."""
    found = find_registry(registry, config, env)
    version = found.publish(directory, reason)
    if as_json:
        print_json(_summary(version, found.open(version)))
    else:
        click.echo(f"{version}  sha256:{version.digest}")


@models.command()
@registry_flags
@click.argument("before")
@click.argument("after")
def diff(before: str, after: str, registry: str | None, config: Path | None, env: str | None, as_json: bool) -> None:
    """Show what differs between two versions: data, parameters, metrics, dependencies, signature.

    BEFORE and AFTER are name/6 and name/7, or aliases; where it is clear whose, the numbers alone will do.
    """
    found = find_registry(registry, config, env)
    old = found.resolve(_whole(before, lambda: found.name_of(experiment_name(config))))
    new = found.resolve(_whole(after, lambda: old.name))
    differing = differences(found.open(old), found.open(new))
    if as_json:
        print_json([asdict(difference) for difference in differing])
        return
    if not differing:
        console().print(f"{old} and {new} do not differ")
        return
    shown = table("", "what", str(old), str(new))
    for difference in differing:
        shown.add_row(difference.section, difference.what, _brief(difference.before), _brief(difference.after))
    console().print(shown)


def _whole(reference: str, name: Callable[[], str]) -> str:
    return f"{name()}/{reference}" if reference.isdecimal() else reference


def _brief(value: Any) -> str:
    text = "" if value is None else figure(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


@models.command()
@registry_flags
@click.argument("version")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="The file of the private key.")  # fmt: skip
def sign(version: str, key: Path, registry: str | None, config: Path | None, env: str | None, as_json: bool) -> None:
    """Sign a published version, its files checked first."""
    from pegboard import signing

    found = find_registry(registry, config, env)
    resolved = found.resolve(version)
    found.verify(resolved)
    name, signature = signing.sign(found.open(resolved).manifest_bytes(), key)
    new = found.sign(resolved, name, signature)
    if as_json:
        print_json({"version": str(resolved), "digest": resolved.digest, "key": name, "new": new})
    else:
        click.echo(f"{resolved}: signed by {name}" if new else f"{resolved}: {name} has signed it before")


def _summary(version: Version, bundle: Bundle | None) -> dict[str, Any]:
    known = {"version": str(version), **asdict(version), "damaged": bundle is None}
    return known if bundle is None else {**known, "model": bundle.model, "metrics": bundle.manifest["metrics"]}
