"""What competes: a model's factory, its parameters, and the preprocessing it wants, as one unfitted pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.pipeline import Pipeline

from pegboard.errors import PluginError
from pegboard.signature import Signature
from pegboard.specs import ModelSpec, PreprocessorSpec


@dataclass(frozen=True)
class Contender:
    """A model in one experiment; :meth:`build` makes a new unfitted pipeline each time."""

    model: ModelSpec
    preprocessor: PreprocessorSpec
    signature: Signature
    seed: int
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name, which is the candidate's."""
        return self.model.name

    def build(self) -> Pipeline:
        """Return an unfitted pipeline, every ``random_state`` in it set from the seed."""
        preprocess = self.preprocessor.make(self.signature, self.model.wants)
        estimator = self.model.make(**self.params)
        if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
            raise PluginError(f"model {self.name!r} makes a {type(estimator).__name__}, not a scikit-learn estimator")
        pipeline = Pipeline([("preprocess", preprocess), ("model", estimator)])
        return pipeline.set_params(**_seeds(pipeline, self.seed, self.params))


def _seeds(pipeline: Pipeline, seed: int, params: Mapping[str, Any]) -> dict[str, int]:
    """Return every ``random_state`` that there is, but for the model's own where the configuration sets it."""
    names = [name for name in pipeline.get_params(deep=True) if name.endswith("__random_state")]
    return {name: seed for name in names if name != "model__random_state" or "random_state" not in params}
