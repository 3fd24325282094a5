"""Every installed regressor on the reference folds of Ames: its RMSE, and the time that its fits took.

``python benchmarks/family/ames.py`` prints a table of Markdown. Folds: ``KFold(5, shuffle=True, random_state=0)``.
"""

from __future__ import annotations

import warnings
from statistics import mean
from time import perf_counter

from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from pegboard import PreprocessorSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.frames import conform, target_values
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.training.candidate import Contender


def main() -> None:
    """Measure all, one after another on one thread, and print the best first."""
    warnings.simplefilter("ignore")
    catalog = Catalog(load_plugins(environ={}))
    source = catalog.get(SourceSpec, "house-prices")
    frame = source.load() if source.load else None
    assert frame is not None
    signature = learn_signature(frame, source)
    features, target = conform(frame, signature), target_values(frame, signature)
    folds = list(KFold(5, shuffle=True, random_state=0).split(features))
    preprocessor = catalog.get(PreprocessorSpec, "tabular")
    rows = []
    for model in catalog.models("regression"):
        scores, start = [], perf_counter()
        for train, test in folds:
            pipeline = Contender(model, preprocessor, signature, 0).build()
            with threadpool_limits(1):
                pipeline.fit(features.iloc[train], target[train])
                scores.append(root_mean_squared_error(target[test], pipeline.predict(features.iloc[test])))
        rows.append((mean(scores), model.name, perf_counter() - start))
    print("| model | RMSE | seconds for five folds |\n|---|---:|---:|")
    for error, name, seconds in sorted(rows):
        print(f"| `{name}` | {error:,.0f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
