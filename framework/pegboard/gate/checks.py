"""The rules that look at the bundle and the ledger, and train nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pegboard.bundle import VALIDATION, library_version
from pegboard.gate.rule import Outcome, Promotion
from pegboard.hookspecs import PROJECT
from pegboard.registry import Registry

MIB = 2**20


def order(promotion: Promotion) -> Outcome:
    """Ask whether this bundle has been in the environment that comes before."""
    version, previous = promotion.version, promotion.previous
    if not promotion.environment.after:
        return Outcome(True, f"nothing comes before {promotion.environment.name}")
    if previous is None:
        return Outcome(
            False, f"it is not known where {promotion.environment.after!r} is: write its [environments] table"
        )
    state = Registry(previous.registry).ledger.state()
    place, published = f"{version.name}@{previous.alias}", state.published.get(version.name, [])
    # By digest: in another registry the same bundle has another number.
    been = [n for n in state.held.get((version.name, previous.alias), ()) if published[n - 1].bundle == version.digest]
    limit = f"what has been {place}"
    if not been:
        return Outcome(False, f"has never been {place}: promote it --to {previous.name} first", limit)
    return Outcome(True, f"has been {place} as {version.name}/{been[0]}", limit)


def digests(promotion: Promotion) -> Outcome:
    """Check every file's digest in the store itself, and the signature where the environment trusts keys."""
    from pegboard.signing import Trust

    keys, files = promotion.environment.trusted_keys, len(promotion.bundle.manifest["files"])
    registry = Registry(str(promotion.registry.store), Trust.of(keys) if keys else None)
    registry.verify(promotion.version)
    signed = ", signed by a trusted key" if keys else ""
    return Outcome(True, f"{files} files are as published, sha256:{promotion.version.digest[:12]}{signed}")


def validation(promotion: Promotion) -> Outcome:
    """Look at what validation found when it was trained; with newer data, whether these fit the signature."""
    most = promotion.environment.gate.max_warnings
    findings = json.loads(promotion.bundle.read(VALIDATION))["findings"]
    failed = [finding for finding in findings if not finding["success"]]
    critical = [finding for finding in failed if finding["severity"] == "critical"]
    others = len(failed) - len(critical)
    named = f": {', '.join(map(_expectation, critical or failed))}" if failed else ""
    found = f"{len(failed)} of {len(findings)} expectations do not hold, {len(critical)} of them critical{named}"
    if promotion.data is not None:
        from pegboard.gate.data import given_rows

        found += f"; all {len(promotion.once(given_rows)):,} rows of {promotion.data.name} fit the signature"
    figures = {"expectations": len(findings), "critical": len(critical), "others": others}
    return Outcome(not critical and others <= most, found, f"none critical, at most {most} others", figures)


def _expectation(finding: Mapping[str, Any]) -> str:
    column = f" on {finding['column']!r}" if finding["column"] else ""
    return f"{finding['expectation']}{column}"


def plugins(promotion: Promotion) -> Outcome:
    """Ask whether every distribution that took part in training is here, and its plugin can be imported."""
    used = [plugin for plugin in promotion.bundle.manifest["plugins"] if plugin["distribution"]]
    if problems := [problem for plugin in used for problem in _plugin_problems(plugin)]:
        return Outcome(False, "; ".join(problems), "all installed")
    others = [
        f"{plugin['distribution']} {here} (trained with {plugin['version']})"
        for plugin in used
        if (here := library_version(plugin["distribution"])) != plugin["version"]
    ]
    found = f"{len(used)} are installed and can be imported" + (f", {', '.join(others)}" if others else "")
    return Outcome(True, found, "all installed", {"other_versions": others})


def _plugin_problems(plugin: Mapping[str, Any]) -> Iterator[str]:
    name, distribution = plugin["name"], plugin["distribution"]
    if library_version(distribution) is None:
        yield f"{distribution} is not installed: pip install {distribution}=={plugin['version']}"
        return
    found = _entry_point(entry_points(group=PROJECT, name=name), distribution)
    if found is None:
        yield f"{distribution} has no plugin {name!r} any more: pip install {distribution}=={plugin['version']}"
        return
    try:
        found.load()
    except (Exception, SystemExit) as error:
        again = f"pip install --force-reinstall {distribution}=={plugin['version']}"
        yield f"{distribution} cannot be imported: {type(error).__name__}: {error}; {again}"


def _entry_point(found: Iterable[EntryPoint], distribution: str) -> EntryPoint | None:
    return next((e for e in found if e.dist is not None and _same(e.dist.name, distribution)), None)


def _same(one: str, other: str) -> bool:
    """Compare names of distributions as the packaging specifications normalise them."""
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()


def size(promotion: Promotion) -> Outcome:
    """Weigh the bundle."""
    bundle, most = promotion.bundle, promotion.environment.gate.max_size_mib
    total = len(bundle.manifest_bytes()) + sum(file["size"] for file in bundle.manifest["files"].values())
    return Outcome(total <= most * MIB, f"{_mib(total)} MiB", f"at most {most:,.10g} MiB", {"bytes": total})


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f}" if size >= MIB else f"{size / MIB:.3f}"
