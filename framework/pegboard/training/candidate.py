"""What competes: a model's factory, its parameters, and the preprocessing it wants, as one unfitted pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sklearn.pipeline import Pipeline

from pegboard.errors import PluginError
from pegboard.signature import Signature
from pegboard.space import Range
from pegboard.specs import ModelSpec, PreprocessorSpec
from pegboard.tuning import Tuning


@dataclass(frozen=True)
class Contender:
    """A model in one experiment; :meth:`build` makes a new unfitted pipeline each time.

    ``tuned`` says that some of ``params`` were found by a tuner; ``warnings`` are known before anything is fitted.
    """

    model: ModelSpec
    preprocessor: PreprocessorSpec
    signature: Signature
    seed: int
    params: Mapping[str, Any] = field(default_factory=dict)
    tuned: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model's name, which is the candidate's."""
        return self.model.name

    def after(self, tuning: Tuning) -> Self:
        """Return the contender with the parameters that tuning has found; as it is, with a warning, if none were."""
        if tuning.finished:
            return replace(self, params={**self.params, **tuning.params}, tuned=True)
        errors = [trial.error for trial in tuning.trials if trial.error]
        reason = f"all {len(tuning.trials)} trials failed, the last in {errors[-1]}" if errors else "time was up"
        warning = f"not tuned: no trial has finished ({reason}), so it competes as it is"
        return replace(self, warnings=(*self.warnings, warning))

    def build(self) -> Pipeline:
        """Return an unfitted pipeline, every ``random_state`` in it set from the seed."""
        preprocess = self.preprocessor.make(self.signature, self.model.wants)
        estimator = self.model.make(**self.params)
        if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
            raise PluginError(f"model {self.name!r} makes a {type(estimator).__name__}, not a scikit-learn estimator")
        pipeline = Pipeline([("preprocess", preprocess), ("model", estimator)])
        return pipeline.set_params(**_seeds(pipeline, self.seed, self.params))


def tunable(model: ModelSpec, params: Mapping[str, Any]) -> Mapping[str, Range]:
    """Return what of a model's space there is to search: nothing of a baseline's, and nothing that ``params`` set."""
    return {} if model.baseline else {name: values for name, values in model.space.items() if name not in params}


def _seeds(pipeline: Pipeline, seed: int, params: Mapping[str, Any]) -> dict[str, int]:
    """Return every ``random_state`` that there is, but for the model's own where the configuration sets it."""
    names = [name for name in pipeline.get_params(deep=True) if name.endswith("__random_state")]
    return {name: seed for name in names if name != "model__random_state" or "random_state" not in params}
