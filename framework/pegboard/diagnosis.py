"""What is wrong with the installed plugins, whose fault it is, and what heals it: a checklist."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.metadata import Distribution, EntryPoint, distribution
from typing import TYPE_CHECKING, Any, Literal

from packaging.utils import canonicalize_name

from pegboard import hookspecs
from pegboard.calling import NotReturned
from pegboard.culprit import raised_at
from pegboard.dependencies import pip_install, plain, unmet
from pegboard.manager import BUILT_IN, LOAD_VARIABLE, Manager, PluginProblem, describe
from pegboard.provenance import library_version

if TYPE_CHECKING:
    from pegboard.bundle import Bundle
    from pegboard.catalog import Catalog

Status = Literal["ok", "skipped", "warning", "wrong"]

#: How like a hook's name a function's is that is thought to be meant as one.
ALIKE = 0.85


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checklist: what was looked at, how it is, the line of code that is to blame, and what helps."""

    check: str
    subject: str
    status: Status
    message: str
    where: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for ``--json``."""
        return asdict(self)


def diagnose(catalog: Catalog, manager: Manager, found: Sequence[EntryPoint]) -> list[Finding]:
    """Check every installed plugin; ``found`` are the entry points of the group ``pegboard``, loaded or not."""
    checks = (_imports, _hooks, _registrations, _names)
    findings = [finding for check in checks for finding in check(manager, catalog, found)]
    return [*findings, *_requirements(found)]


def diagnose_bundle(bundle: Bundle, reference: str) -> list[Finding]:
    """Check whether what a published version needs is installed."""
    from pegboard.requirements import problems

    wrong = [Finding("bundle", reference, "wrong", problem) for problem in problems(bundle)]
    return wrong or [Finding("bundle", reference, "ok", "everything that it needs is installed")]


# --- plugins -----------------------------------------------------------------------------------------------------


def _imports(manager: Manager, _: Catalog, found: Sequence[EntryPoint]) -> Iterator[Finding]:
    failed = {problem.plugin: problem for problem in manager.problems if problem.about == "import"}
    otherwise = {problem.plugin for problem in manager.problems if problem.about in ("hooks", "name")}
    for entry_point in sorted(found, key=lambda e: str(describe(e))):
        plugin = describe(entry_point)
        if plugin in manager.plugins:
            origin = manager.origin(plugin)
            yield Finding("import", str(plugin), "ok", f"{origin.seconds * 1000:.1f} ms, from {origin.file}")
        elif (problem := failed.get(str(plugin))) is not None:
            yield _not_imported(problem, entry_point)
        elif not otherwise & {str(plugin), plugin.name}:
            yield Finding("import", str(plugin), "skipped", f"{LOAD_VARIABLE} leaves it out")


def _not_imported(problem: PluginProblem, entry_point: EntryPoint) -> Finding:
    error, package = problem.error, entry_point.module.partition(".")[0]
    where = error.place if isinstance(error, NotReturned) else raised_at(error, package) if error else ""
    return Finding("import", problem.plugin, "wrong", problem.reason, where, _import_remedy(error, entry_point))


def _import_remedy(error: BaseException | None, entry_point: EntryPoint) -> str:
    plugin = describe(entry_point)
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{entry_point.module}.".startswith(f"{error.name}."):
            names = (
                f"the entry point of {plugin.distribution} names {entry_point.value}, and nothing brings that module"
            )
            return f"{names}: correct it, or pip install --force-reinstall {plugin.distribution}"
        return _missing(error.name.partition(".")[0], entry_point.dist)
    if isinstance(error, NotReturned):
        return "let the import return at once: what it waits for belongs into a function that is called when needed"
    if isinstance(error, SystemExit):
        return "a module must not end the process: let it raise an error that says what is wrong"
    return f"correct that line; until then, {_without(plugin.distribution)}"


def _missing(module: str, brought_by: Distribution | None) -> str:
    """Say what brings a module that is missing, as far as the plugin's distribution says what it requires."""
    name, lacking = canonicalize_name(module), [] if brought_by is None else [r for r, _ in unmet(brought_by)]
    required = [r for r in lacking if canonicalize_name(r.name) == name] or lacking
    if brought_by is not None and required:
        return f"{brought_by.name} requires {', '.join(map(plain, required))}: {pip_install(required)}"
    holder = "its distribution" if brought_by is None else brought_by.name
    return (
        f"{holder} does not say that it requires {module}: install what brings it (pip install {name}?), "
        "and add that to the plugin's install_requires"
    )


def _without(name: str) -> str:
    return f"pip uninstall {name}, or name the other plugins in {LOAD_VARIABLE}"


def _hooks(manager: Manager, _: Catalog, __: Sequence[EntryPoint]) -> Iterator[Finding]:
    for problem in manager.problems:
        if problem.about == "hooks":
            remedy = "correct it: docs/hooks.md has every hook with its arguments"
            yield Finding("hooks", problem.plugin, "wrong", problem.reason, remedy=remedy)
    for plugin in manager.plugins:
        if plugin.name == BUILT_IN:
            continue
        unmarked = list(_unmarked(manager.module(plugin)))
        for function, meant in unmarked:
            where = f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}"
            said = f"the function {function.__name__} is not marked, so it is never called"
            spelt = "" if function.__name__ == meant else f", and call it {meant}"
            yield Finding("hooks", str(plugin), "warning", said, where, f"put @hookimpl before it{spelt}; or rename it")
        if not unmarked:
            yield Finding("hooks", str(plugin), "ok", "every hook is one that there is")


def _unmarked(module: object) -> Iterator[tuple[Any, str]]:
    """Yield a module's own functions that are named as hooks are, or nearly, and not marked; and the hook's name."""
    known = [name for name in vars(hookspecs) if name.startswith(("register_", "after_"))]
    for name, function in inspect.getmembers(module, inspect.isfunction):
        own = function.__module__ == getattr(module, "__name__", None)
        if own and not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            for meant in get_close_matches(name, known, n=1, cutoff=ALIKE):
                yield function, meant


def _registrations(manager: Manager, catalog: Catalog, _: Sequence[EntryPoint]) -> Iterator[Finding]:
    failed = [problem for problem in manager.problems if problem.about == "registration"]
    for problem in failed:
        where = problem.error.place if isinstance(problem.error, NotReturned) else _raised_in_plugin(problem, manager)
        remedy = "correct what the hook returns: docs/hooks.md says what it takes"
        yield Finding("registrations", problem.plugin, "wrong", problem.reason, where, remedy)
    broken = {problem.plugin for problem in failed}
    for plugin in manager.plugins:
        if plugin.name != BUILT_IN and str(plugin) not in broken:
            count = sum(entry.plugin == plugin for entry in catalog.entries())
            yield Finding("registrations", str(plugin), "ok", f"{count} thing{'s' * (count != 1)}")


def _raised_in_plugin(problem: PluginProblem, manager: Manager) -> str:
    plugin = next((p for p in manager.plugins if str(p) == problem.plugin), None)
    if plugin is None or problem.error is None:
        return ""
    package = str(getattr(manager.module(plugin), "__name__", "")).partition(".")[0]
    return raised_at(problem.error, package)


def _names(manager: Manager, catalog: Catalog, found: Sequence[EntryPoint]) -> Iterator[Finding]:
    by_name: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in found:
        by_name[entry_point.name].append(entry_point)
    for problem in manager.problems:
        if problem.about == "name":
            claims = by_name[problem.plugin]
            where = " and ".join(sorted(_place(claim) for claim in claims))
            remedy = " or ".join(sorted(f"pip uninstall {describe(claim).distribution}" for claim in claims))
            yield Finding("names", problem.plugin, "wrong", problem.reason, where, remedy)
    contested = [problem for problem in catalog.problems if problem not in manager.problems]
    for problem in contested:
        remedy = "let one of them register it under another name, or uninstall one"
        yield Finding("names", problem.plugin, "wrong", problem.reason, remedy=remedy)
    if not contested and not any(problem.about == "name" for problem in manager.problems):
        yield Finding("names", "all plugins", "ok", "no name is claimed twice")


def _place(claim: EntryPoint) -> str:
    return f"{claim.value} in {claim.dist.locate_file('')}" if claim.dist is not None else claim.value


# --- what is installed -------------------------------------------------------------------------------------------


def _requirements(found: Iterable[EntryPoint]) -> Iterator[Finding]:
    """Compare what Pegboard and every plugin's distribution require with what is installed."""
    installed = {"pegboard": distribution("pegboard")} if library_version("pegboard") else {}
    installed |= {entry_point.dist.name: entry_point.dist for entry_point in found if entry_point.dist is not None}
    for name, dist in sorted(installed.items()):
        lacking = dict(unmet(dist))
        subject = f"{name} {dist.version}"
        if not lacking:
            yield Finding("requirements", subject, "ok", "everything that it requires is installed")
            continue
        wrong = ", and ".join(
            f"requires {plain(r)}, {'which is not installed' if here is None else f'and {here} is installed'}"
            for r, here in lacking.items()
        )
        yield Finding("requirements", subject, "wrong", wrong, remedy=pip_install(lacking))
