"""How a version was made, and the same made again on other rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pandas as pd

from pegboard.bundle import Bundle
from pegboard.catalog import Catalog
from pegboard.config import OPERATIONAL, Experiment
from pegboard.errors import BundleError, DataError
from pegboard.learning import learn_signature
from pegboard.signature import Signature
from pegboard.specs import ModelSpec, PreprocessorSpec, SourceSpec, check_options
from pegboard.training.candidate import Contender
from pegboard.training.values import Table


@dataclass(frozen=True)
class Recipe:
    """A version's model with its parameters, preprocessing and seed, and the columns that it takes."""

    label: str
    experiment: Experiment
    signature: Signature
    model: ModelSpec
    preprocessor: PreprocessorSpec

    @classmethod
    def of(cls, label: object, bundle: Bundle, catalog: Catalog) -> Recipe:
        """Find what a bundle's manifest names.

        Raises :class:`~pegboard.errors.PluginError` if something is not installed any more,
        :class:`~pegboard.errors.ConfigError` if it has other parameters now.
        """
        experiment, model = _experiment(bundle), catalog.get(ModelSpec, bundle.model)
        preprocessor = catalog.get(PreprocessorSpec, experiment.preprocessor)
        check_options(model.make, experiment.model_params.get(model.name, {}), f"model {model.name!r}, as in {label},")
        return cls(str(label), experiment, bundle.signature, model, preprocessor)

    def same_as(self, other: Recipe) -> bool:
        """Whether both make the same model of the same table."""
        return self._made_of() == other._made_of()

    def _made_of(self) -> tuple[Any, ...]:
        columns = [(feature.name, feature.kind) for feature in self.signature.features]
        seed, params = self.experiment.seed, self._params(self.model)
        return self.signature.task, self.signature.target, columns, self.model, dict(params), self.preprocessor, seed

    def contender(self, frame: pd.DataFrame, source: SourceSpec, model: ModelSpec | None = None) -> Contender:
        """Return what is fitted, or another model in its place, with what its columns hold in ``frame``."""
        chosen, signature = model or self.model, self.signature_on(frame, source)
        return Contender(chosen, self.preprocessor, signature, self.experiment.seed, self._params(chosen))

    def signature_on(self, frame: pd.DataFrame, source: SourceSpec) -> Signature:
        """Return its columns with what they hold in ``frame``; raises :class:`DataError` if some are gone."""
        features, target = self.signature.features, self.signature.target
        if missing := [name for name in (*(f.name for f in features), target) if name not in frame]:
            columns = f"the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}"
            raise DataError(f"{self.label} needs {columns}, which source {source.name!r} does not deliver any more")
        declared = {feature.name: feature.kind for feature in features}
        keys = tuple(name for name in self.signature.keys if name in frame)
        return learn_signature(
            frame, replace(source, task=self.signature.task, target=target, keys=keys, features=declared)
        )

    def table(self, frame: pd.DataFrame, signature: Signature) -> Table:
        """Bring rows into canonical form; a null is no error here, since both sides answer the same rows."""
        lenient = replace(signature, features=tuple(replace(f, nullable=True) for f in signature.features))
        return Table.of(frame, lenient)

    def _params(self, model: ModelSpec) -> Mapping[str, Any]:
        return self.experiment.model_params.get(model.name, {})


def _experiment(bundle: Bundle) -> Experiment:
    written = bundle.manifest.get("experiment")
    known = {field.name for field in fields(Experiment)} - set(OPERATIONAL)
    try:
        settings = {name: value for name, value in (written or {}).items() if name in known}
        return Experiment(**{**settings, "models": tuple(settings["models"])})
    except (AttributeError, KeyError, TypeError) as error:
        raise BundleError(f"{bundle.directory}: the manifest does not say how it was made: train it again") from error
