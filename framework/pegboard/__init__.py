"""Pegboard, as a plugin author sees it: the marker, the specs, and the root of its errors. Nothing heavy behind."""

from pegboard.errors import DataError, PegboardError
from pegboard.hookspecs import hookimpl
from pegboard.space import Choice, Float, Integer
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
    TunerSpec,
    Wants,
)

__all__ = [
    "Choice",
    "CommandSpec",
    "CriterionSpec",
    "DataError",
    "Float",
    "Integer",
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
    "TunerSpec",
    "Wants",
    "hookimpl",
]
