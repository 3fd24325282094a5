"""``pegboard models``: what the registry holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pegboard.bundle import Bundle
from pegboard.cli.output import (
    as_json,
    config_file,
    console,
    figure,
    options,
    print_json,
    print_leaderboard,
    table,
)
from pegboard.config import registry_location
from pegboard.errors import BundleError, PegboardError, RegistryError
from pegboard.registry import Registry, Version


@click.group()
def models() -> None:
    """List, show, verify and import published versions."""


_flags = options(config_file, click.option("--registry", help="The registry's directory."), as_json)


def _registry(registry: str | None, config: Path | None) -> Registry:
    return Registry(registry or registry_location(config))


@models.command("list")
@_flags
@click.argument("name", required=False)
def list_(name: str | None, registry: str | None, config: Path | None, as_json: bool) -> None:
    """List published versions, of all names or of one."""
    found = _registry(registry, config)
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
@_flags
@click.argument("version")
def show(version: str, registry: str | None, config: Path | None, as_json: bool) -> None:
    """Show one version: how it was made, on what, and how it compared. VERSION is name, name/7 or name@alias."""
    found = _registry(registry, config)
    resolved = found.resolve(version)
    bundle = found.open(resolved)
    if as_json:
        print_json({**_summary(resolved, bundle), "manifest": bundle.manifest})
        return
    out, manifest = console(), bundle.manifest
    facts = table("", "", title=str(resolved))
    facts.show_header = False
    for label, text in _facts(resolved, manifest):
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
@_flags
@click.argument("version", required=False)
def verify(version: str | None, registry: str | None, config: Path | None, as_json: bool) -> None:
    """Check the ledger, and every file of one version or of all, against their digests; exit status 1 if any fails."""
    found = _registry(registry, config)
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
@_flags
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--reason", default="", help="Why; kept in the ledger.")
def import_(directory: Path, reason: str, registry: str | None, config: Path | None, as_json: bool) -> None:
    """Take a bundle that was trained elsewhere into the registry, its digests checked; nothing is unpickled."""
    found = _registry(registry, config)
    version = found.publish(directory, reason)
    if as_json:
        print_json(_summary(version, found.open(version)))
    else:
        click.echo(f"{version}  sha256:{version.digest}")


def _summary(version: Version, bundle: Bundle | None) -> dict[str, Any]:
    known = {"version": str(version), **asdict(version), "damaged": bundle is None}
    return known if bundle is None else {**known, "model": bundle.model, "metrics": bundle.manifest["metrics"]}
