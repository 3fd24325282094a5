"""Pegboard, as a plugin author sees it: the marker, the specs, and the root of its errors. Nothing heavy behind."""

from pegboard.errors import DataError, PegboardError
from pegboard.hookspecs import hookimpl
from pegboard.specs import (
    CommandSpec,
    CriterionSpec,
    Kernel,
    KernelSpec,
    ModelSpec,
    PreprocessorSpec,
    ResolverSpec,
    RuleSpec,
    ScorerSpec,
    SourceSpec,
    SplitterSpec,
    Wants,
)

__all__ = [
    "CommandSpec",
    "CriterionSpec",
    "DataError",
    "Kernel",
    "KernelSpec",
    "ModelSpec",
    "PegboardError",
    "PreprocessorSpec",
    "ResolverSpec",
    "RuleSpec",
    "ScorerSpec",
    "SourceSpec",
    "SplitterSpec",
    "Wants",
    "hookimpl",
]
