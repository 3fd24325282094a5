"""A plugin whose preprocessors, splitters, criteria, tuners, kernels and commands have a defect each."""

from __future__ import annotations

from functools import partial

from pegboard import (
    CommandSpec,
    CriterionSpec,
    KernelSpec,
    PreprocessorSpec,
    SplitterSpec,
    TunerSpec,
    hookimpl,
)


def _tabular(signature, wants):
    from pegboard.preprocessing import tabular

    return tabular(signature, wants)


def _columns(signature, numbers, categories):
    from sklearn.compose import make_column_transformer

    texts = [f.name for f in signature.features if f.kind == "category"]
    others = [f.name for f in signature.features if f.kind != "category"]
    return make_column_transformer((numbers, others), (categories, texts))


def refuses_unknown(signature, wants):
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    return _columns(signature, SimpleImputer(), OneHotEncoder(sparse_output=False))


def keeps_nulls(signature, wants):
    from sklearn.preprocessing import OneHotEncoder

    return _columns(signature, "passthrough", OneHotEncoder(handle_unknown="ignore", sparse_output=False))


def holds_lambda(signature, wants):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(_tabular(signature, wants), FunctionTransformer(lambda matrix: matrix))


@hookimpl
def register_preprocessors():
    preprocessor = partial(PreprocessorSpec, summary="one defect")
    return [
        preprocessor(name="good", make=_tabular),
        preprocessor(name="refuses-unknown", make=refuses_unknown),
        preprocessor(name="keeps-nulls", make=keeps_nulls),
        preprocessor(name="holds-lambda", make=holds_lambda),
    ]


class _Folds:
    def __init__(self, folds):
        self.folds = folds

    def split(self, X, y=None):
        return iter(self.folds)


def k_fold(task, folds, seed):
    from sklearn.model_selection import KFold

    return KFold(folds, shuffle=True, random_state=seed)


def overlapping(task, folds, seed):
    import numpy as np

    return _Folds([(np.arange(60), np.arange(fold, 60, folds)) for fold in range(folds)])


def forgetful(task, folds, seed):
    import numpy as np

    parts = [np.arange(fold, 50, folds) for fold in range(folds)]
    return _Folds([(np.setdiff1d(np.arange(50), part), part) for part in parts])


def unseeded(task, folds, seed):
    from sklearn.model_selection import KFold

    return KFold(folds, shuffle=True)


@hookimpl
def register_splitters():
    makes = {"good": k_fold, "overlapping": overlapping, "forgetful": forgetful, "unseeded": unseeded}
    return [SplitterSpec(name=name, make=make, summary="one defect") for name, make in makes.items()]


@hookimpl
def register_criteria():
    return [
        CriterionSpec(name="first", choose=lambda board: [board.candidates[0].name], summary="good"),
        CriterionSpec(name="stranger", choose=lambda board: ["huber"], summary="one defect"),
    ]


def search(search, low=None, more=0, seed=None):
    import random

    from pegboard.tuning import Trial, Tuned

    draw, trials = random.Random(search.seed if seed is None else seed()), []
    for number in range(search.budget.trials + more):
        params = {"depth": draw.randint(1, 8), "rate": draw.uniform(0.01, 1.0), "kind": draw.choice("ab")}
        params = {**params, **({} if low is None else {"rate": low})}
        trials.append(Trial(number, params, search.evaluate(params, lambda *_: True)))
        search.on_trial(trials[-1])
    return Tuned(min(trials, key=lambda trial: sum(trial.scores)).params, tuple(trials))


def _entropy():
    import secrets

    return secrets.randbits(64)


@hookimpl
def register_tuners():
    tuner = partial(TunerSpec, summary="one defect")
    return [
        tuner(name="good", tune=search),
        tuner(name="outside", tune=partial(search, low=0.0)),
        tuner(name="spendthrift", tune=partial(search, more=1)),
        tuner(name="unseeded", tune=partial(search, seed=_entropy)),
    ]


class HalfKernel:
    """Answers half of what it should."""

    def __init__(self, pipeline, signature, factor):
        self.ask, self.signature, self.factor = pipeline.predict, signature, factor

    def one(self, values):
        from pegboard.frames import from_rows

        return float(self.many(from_rows([values], self.signature))[0])

    def many(self, columns):
        from pegboard.frames import as_frame

        return self.factor * self.ask(as_frame(columns, self.signature))


def kernel(factor):
    return lambda pipeline, signature: HalfKernel(pipeline, signature, factor)


@hookimpl
def register_kernels():
    linear = "sklearn.linear_model:"
    return [
        KernelSpec(name="good", estimator=f"{linear}BayesianRidge", build=kernel(1.0), summary="good"),
        KernelSpec(name="half", estimator=f"{linear}HuberRegressor", build=kernel(0.5), summary="one defect"),
        KernelSpec(name="second-claim", estimator=f"{linear}LinearRegression", build=kernel(1.0), summary="one defect"),
    ]


@hookimpl
def register_commands():
    return [
        CommandSpec(name="good", load="pegboard.cli.train:train", summary="good"),
        CommandSpec(name="gone", load="pegboard.cli.train:gone", summary="one defect"),
    ]


@hookimpl
def after_publish(experiment, version):
    from pathlib import Path

    return Path("published.txt").write_text(f"{experiment}: {version}", encoding="utf-8")


@hookimpl
def after_candidate(candidate):
    return candidate.no_such_thing
