"""The rules that look at the bundle and the ledger, and train nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from packaging.utils import canonicalize_name

from pegboard import requirements
from pegboard.bundle import VALIDATION, Bundle
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
    """Ask whether every distribution that the pipeline needs is here, in a version that will do, and can be loaded."""
    bundle, limit = promotion.bundle, "all installed, and as at training time"
    if wrong := [*requirements.problems(bundle), *_not_imported(bundle)]:
        return Outcome(False, "; ".join(wrong), limit)
    direct, slower = bundle.requirements.direct, requirements.slower(bundle)
    found = "; ".join([f"the {len(direct) - len(slower)} distributions that it needs are installed", *slower])
    return Outcome(True, found, limit, {"needed": [requirement.pinned for requirement in direct], "slower": slower})


def _not_imported(bundle: Bundle) -> Iterator[str]:
    """Say which of the plugins that serving needs are installed and cannot be imported."""
    needed = {r.name: r for r in bundle.requirements.direct if r.kind != "kernel"}
    for entry_point in entry_points(group=PROJECT):
        found = entry_point.dist and needed.get(canonicalize_name(entry_point.dist.name))
        if not found:
            continue
        try:
            entry_point.load()
        except (Exception, SystemExit) as error:
            again = f"pip install --force-reinstall {found.pinned}"
            yield f"{found.name} cannot be imported: {type(error).__name__}: {error}; {again}"


def size(promotion: Promotion) -> Outcome:
    """Weigh the bundle."""
    bundle, most = promotion.bundle, promotion.environment.gate.max_size_mib
    total = len(bundle.manifest_bytes()) + sum(file["size"] for file in bundle.manifest["files"].values())
    return Outcome(total <= most * MIB, f"{_mib(total)} MiB", f"at most {most:,.10g} MiB", {"bytes": total})


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f}" if size >= MIB else f"{size / MIB:.3f}"
