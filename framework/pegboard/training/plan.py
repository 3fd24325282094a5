"""From the names in an experiment to the things they name, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import ConfigError, PluginError, did_you_mean
from pegboard.signature import Signature
from pegboard.specs import (
    CriterionSpec,
    ModelSpec,
    PreprocessorSpec,
    ScorerSpec,
    SourceSpec,
    Spec,
    SplitterSpec,
    Task,
    TunerSpec,
    check_options,
)
from pegboard.training.candidate import Contender, tunable
from pegboard.training.source import configured

DEFAULT_SCORERS: Mapping[Task, str] = {"regression": "rmse", "classification": "log-loss"}


@dataclass(frozen=True)
class Plan:
    """An experiment with every name resolved.

    ``tuner`` is ``None`` where nothing is tuned. ``origins`` say, by name, which plugin the models are of, and which
    the scorer and the preprocessor.
    """

    experiment: Experiment
    source: SourceSpec
    source_options: Mapping[str, Any]
    models: tuple[ModelSpec, ...]
    scorer: ScorerSpec
    preprocessor: PreprocessorSpec
    splitter: SplitterSpec
    criterion: CriterionSpec
    tuner: TunerSpec | None
    origins: Mapping[str, str]

    def contenders(self, signature: Signature) -> list[Contender]:
        """Return one contender for each model."""
        params = self.experiment.model_params
        return [
            Contender(model, self.preprocessor, signature, self.experiment.seed, params.get(model.name, {}))
            for model in self.models
        ]


def make_plan(experiment: Experiment, catalog: Catalog) -> Plan:
    """Resolve an experiment's names; raise :class:`ConfigError` or :class:`PluginError` at the first that is wrong."""
    source, source_options = configured(catalog.get(SourceSpec, experiment.source), experiment.source_options)
    models = _models(experiment, catalog, source.task)
    scorer = find_scorer(experiment.scorer or DEFAULT_SCORERS[source.task], source.task, catalog)
    preprocessor = catalog.get(PreprocessorSpec, experiment.preprocessor)
    return Plan(
        experiment=experiment,
        source=source,
        source_options=source_options,
        models=models,
        scorer=scorer,
        preprocessor=preprocessor,
        splitter=catalog.get(SplitterSpec, experiment.splitter),
        criterion=catalog.get(CriterionSpec, experiment.criterion),
        tuner=_tuner(experiment, models, catalog),
        origins=_origins((*models, scorer, preprocessor), catalog),
    )


def find_scorer(name: str, task: Task, catalog: Catalog) -> ScorerSpec:
    """Return a registered scorer, or scikit-learn's of that name (with hyphens or underscores)."""
    scorer = catalog.find(ScorerSpec, name.replace("_", "-"))
    if scorer is None:
        return _sklearn_scorer(name, task, catalog)
    if task not in scorer.tasks:
        raise ConfigError(f"scorer {scorer.name!r} is for {' and '.join(scorer.tasks)}, and the task is {task}")
    return scorer


def _sklearn_scorer(name: str, task: Task, catalog: Catalog) -> ScorerSpec:
    from sklearn.metrics import get_scorer, get_scorer_names

    theirs = name.replace("-", "_")
    if theirs not in get_scorer_names():
        catalog.get(ScorerSpec, name)  # raises, with the names nearby
    return ScorerSpec(name=theirs.replace("_", "-"), tasks=(task,), make=lambda: get_scorer(theirs))


def _models(experiment: Experiment, catalog: Catalog, task: Task) -> tuple[ModelSpec, ...]:
    named = [catalog.get(ModelSpec, name) for name in dict.fromkeys(experiment.models)]
    chosen = named or catalog.models(task)
    for model in chosen:
        if model.task != task:
            raise ConfigError(f"model {model.name!r} is for {model.task}, and the task is {task}")
    # A baseline competes whoever was named: without one nobody knows what a score is worth.
    competing = {model.name: model for model in [*chosen, *catalog.baselines(task)]}
    for name, params in experiment.model_params.items():
        model = catalog.get(ModelSpec, name)
        check_options(model.make, params, f"model {name!r}")
    if all(model.baseline for model in competing.values()):
        raise PluginError(f"no model for {task} is installed: pip install pegboard-sklearn, for example")
    return tuple(competing.values())


def _tuner(experiment: Experiment, models: tuple[ModelSpec, ...], catalog: Catalog) -> TunerSpec | None:
    if not experiment.tune:
        return None
    name, params = experiment.tuner, experiment.model_params
    tuner = catalog.find(TunerSpec, name)
    if tuner is None:
        hint = did_you_mean(name, catalog.names(TunerSpec)) or f": pip install pegboard-{name}"
        raise PluginError(f"tune is {experiment.tune!r}, and no tuner named {name!r} is installed and loaded{hint}")
    if not any(tunable(model, params.get(model.name, {})) for model in models):
        competing = ", ".join(model.name for model in models if not model.baseline)
        raise ConfigError(
            f"tune is {experiment.tune!r}, and nothing is there to tune: {competing} declare no search space, or "
            "[models.NAME] sets all of its parameters"
        )
    return tuner


def _origins(chosen: tuple[Spec, ...], catalog: Catalog) -> Mapping[str, str]:
    plugins = {id(entry.spec): entry.plugin for entry in catalog.entries()}
    return {spec.name: str(plugins.get(id(spec), "")) for spec in chosen}
