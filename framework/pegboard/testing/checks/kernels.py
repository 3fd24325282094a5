"""What must hold of a kernel: it agrees with the pipelines that it is made for, and they are its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pegboard.frames import to_records, to_rows
from pegboard.kernels.choose import choose
from pegboard.specs import TASKS, ModelSpec, Task
from pegboard.testing.kit import Failed, Subject, attempting, check, imported
from pegboard.testing.tables import fitted, with_nulls


@check("kernel", "only-claim", "no other kernel claims its class of estimator")
def only_claim(subject: Subject) -> None:
    """Two that do are both left out."""
    others = [k.name for k in subject.kit.catalog.kernels() if k.estimator == subject.spec.estimator]
    others.remove(subject.spec.name)
    if others:
        raise Failed(f"{subject.spec.estimator} is claimed by {', '.join(others)} too: neither serves")


@check("kernel", "agrees", "it answers as the pipelines do whose last step is of its class")
def agrees(subject: Subject) -> str | None:
    """Those of every loaded plugin's models; where there is none, of the class with its own defaults."""
    tried, compiled = [], False
    for model in _models(subject):
        made = fitted(replace(subject, thing=replace(subject.thing, spec=model)), with_nulls(model.task))
        rows = to_rows(to_records(made.table.features, made.signature), made.signature)
        choice = choose(made.pipeline, made.signature, [subject.spec], made.predictor.ask, rows)
        if choice.refused:
            raise Failed(f"with the pipeline of {model.name}: {choice.note}")
        tried.append(model.name)
        compiled |= choice.kernel is not None
    if not tried:
        return f"no model ends in {subject.spec.estimator}, and the class cannot be fitted as it is"
    return f"with {', '.join(tried)}" if compiled else f"it knows none of the pipelines of {', '.join(tried)}"


def _models(subject: Subject) -> Iterator[ModelSpec]:
    """Yield the models that make an estimator of the class; or one that does, for each task that it can learn."""
    with attempting(f"importing {subject.spec.estimator}"):
        wanted = imported(subject.spec.estimator)
    known = [entry.spec for entry in subject.kit.catalog.entries() if isinstance(entry.spec, ModelSpec)]
    claimed = [model for model in known if type(model.make()) is wanted]
    yield from claimed or (model for task in TASKS if (model := _default(wanted, task)))


def _default(wanted: Any, task: Task) -> ModelSpec | None:
    from sklearn.base import is_classifier, is_regressor

    try:
        fits = (is_classifier if task == "classification" else is_regressor)(wanted())
    except Exception:  # a class that cannot be made without arguments
        return None
    return ModelSpec(name="default", task=task, make=wanted) if fits else None
