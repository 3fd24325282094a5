"""What the plugins gave, by kind and name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pegboard.errors import PluginError, did_you_mean
from pegboard.manager import Manager, Plugin, PluginProblem
from pegboard.specs import (
    CommandSpec,
    CriterionSpec,
    KernelSpec,
    ModelSpec,
    PreprocessorSpec,
    ResolverSpec,
    RuleSpec,
    ScorerSpec,
    SourceSpec,
    Spec,
    SplitterSpec,
    Task,
    TunerSpec,
)

SPECS: tuple[type[Spec], ...] = (
    SourceSpec,
    ModelSpec,
    ScorerSpec,
    PreprocessorSpec,
    SplitterSpec,
    CriterionSpec,
    TunerSpec,
    KernelSpec,
    RuleSpec,
    ResolverSpec,
    CommandSpec,
)

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, slots=True)
class Entry(Generic[S]):
    """A spec and the plugin that registered it."""

    spec: S
    plugin: Plugin


class Catalog:
    """Every registered thing. A name that two plugins claim belongs to neither: asking for it names both."""

    def __init__(self, manager: Manager) -> None:
        self._entries: dict[tuple[str, str], list[Entry[Spec]]] = defaultdict(list)
        for spec_type in SPECS:
            for plugin, spec in manager.registrations(spec_type.hook):
                if isinstance(spec, spec_type):
                    self._entries[spec.kind, spec.name].append(Entry(spec, plugin))
                else:
                    reason = f"{spec_type.hook} gave {type(spec).__name__}, not {spec_type.__name__}"
                    manager.problems.append(PluginProblem(str(plugin), reason))
        self.problems = (*manager.problems, *self._contested())

    def get(self, spec_type: type[S], name: str) -> S:
        """Return the spec of that kind and name; raise :class:`PluginError` if there is none, or more than one."""
        claims = self._claims(spec_type).get(name)
        if claims is None:
            known = self.names(spec_type)
            hint = did_you_mean(name, known) or f"; known: {', '.join(known) or 'none'}"
            raise PluginError(f"no {spec_type.kind} named {name!r}{hint} (is its plugin installed and loaded?)")
        return _only(claims)

    def find(self, spec_type: type[S], name: str) -> S | None:
        """Return the spec of that kind and name, or ``None`` if nothing claims the name."""
        claims = self._claims(spec_type).get(name)
        return _only(claims) if claims else None

    def models(self, task: Task) -> list[ModelSpec]:
        """Return every model of a task, baselines included, by name; raise if one of their names is contested."""
        claims = sorted(self._claims(ModelSpec).items())
        return [_only(claim) for _, claim in claims if any(entry.spec.task == task for entry in claim)]

    def baselines(self, task: Task) -> list[ModelSpec]:
        """Return the baselines of a task, by name; contested names are passed over."""
        return [model for model in self._uncontested(ModelSpec) if model.task == task and model.baseline]

    def kernels(self) -> list[KernelSpec]:
        """Return every kernel, by name; contested names are passed over, since the pipeline can serve."""
        return self._uncontested(KernelSpec)

    def resolver(self, reference: str) -> ResolverSpec | None:
        """Return the resolver that knows names like this one, ``None`` for the registry's own."""
        return next((r for r in self._uncontested(ResolverSpec) if reference.startswith(r.prefix)), None)

    def names(self, spec_type: type[S]) -> list[str]:
        """Return every claimed name of a kind, contested ones included."""
        return sorted(self._claims(spec_type))

    def entries(self) -> list[Entry[Spec]]:
        """Return everything that is registered, contested names included, by kind and name."""
        return [entry for _, claims in sorted(self._entries.items()) for entry in claims]

    def _uncontested(self, spec_type: type[S]) -> list[S]:
        return [claims[0].spec for _, claims in sorted(self._claims(spec_type).items()) if len(claims) == 1]

    def _claims(self, spec_type: type[S]) -> dict[str, list[Entry[S]]]:
        return {
            name: [e for e in claims if isinstance(e.spec, spec_type)]  # type: ignore[misc]
            for (kind, name), claims in self._entries.items()
            if kind == spec_type.kind
        }

    def _contested(self) -> Iterable[PluginProblem]:
        for (kind, name), claims in self._entries.items():
            if len(claims) > 1:
                yield PluginProblem(_origins(claims), f"claim one name: {kind} {name!r} belongs to neither")


def _only(claims: list[Entry[S]]) -> S:
    if len(claims) > 1:
        spec = claims[0].spec
        raise PluginError(f"{spec.kind} {spec.name!r} is registered by {_origins(claims)}: uninstall one of them")
    return claims[0].spec


def _origins(claims: Iterable[Entry[S]]) -> str:
    return " and ".join(str(entry.plugin) for entry in claims)
