"""What Pegboard itself hangs on the board, through the same door as every plugin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pegboard.hookspecs import hookimpl
from pegboard.leaderboard import Leaderboard
from pegboard.signature import Signature
from pegboard.specs import (
    CommandSpec,
    CriterionSpec,
    Kernel,
    KernelSpec,
    ModelSpec,
    PreprocessorSpec,
    ResolverSpec,
    RuleSpec,
    SplitterSpec,
    Task,
    Versions,
    Wants,
)

if TYPE_CHECKING:
    from pegboard.gate.rule import Outcome, Promotion
    from pegboard.signing import Trust


@hookimpl
def register_models() -> list[ModelSpec]:
    """The baselines: what one would say without looking at the features."""
    return [
        ModelSpec(
            name="dummy-regressor",
            task="regression",
            make=_dummy_regressor,
            complexity=0,
            baseline=True,
            summary="predicts the mean of the target",
        ),
        ModelSpec(
            name="dummy-classifier",
            task="classification",
            make=_dummy_classifier,
            complexity=0,
            baseline=True,
            summary="predicts the classes' frequencies",
        ),
    ]


def _dummy_regressor(strategy: str = "mean") -> Any:
    from sklearn.dummy import DummyRegressor

    return DummyRegressor(strategy=strategy)


def _dummy_classifier(strategy: str = "prior") -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy=strategy)


@hookimpl
def register_preprocessors() -> list[PreprocessorSpec]:
    """The default preprocessing, driven by the signature."""
    return [PreprocessorSpec(name="tabular", make=_tabular, summary="impute, one-hot encode, scale where wanted")]


def _tabular(signature: Signature, wants: Wants) -> Any:
    from pegboard.preprocessing import tabular

    return tabular(signature, wants)


@hookimpl
def register_splitters() -> list[SplitterSpec]:
    """The default folds."""
    return [SplitterSpec(name="k-fold", make=_k_fold, summary="shuffled k-fold, stratified for classification")]


def _k_fold(task: Task, folds: int, seed: int) -> Any:
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter = StratifiedKFold if task == "classification" else KFold
    return splitter(folds, shuffle=True, random_state=seed)


@hookimpl
def register_criteria() -> list[CriterionSpec]:
    """The default rule, and the one for those who prefer a simpler model to a slightly better one."""
    return [
        CriterionSpec(name="best-mean", choose=best_mean, summary="the best mean score"),
        CriterionSpec(
            name="one-standard-error",
            choose=one_standard_error,
            summary="the simplest within one standard error of the best",
        ),
    ]


def best_mean(board: Leaderboard) -> Sequence[str]:
    """Every candidate whose mean equals the best one."""
    return [c.name for c in board.candidates if c.mean == board.candidates[0].mean]


def one_standard_error(board: Leaderboard) -> Sequence[str]:
    """The least complex among those no further behind the best than its standard error.

    The one-standard-error rule: Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984.
    """
    margin = board.candidates[0].standard_error
    near = [c for c in board.candidates if board.loss(c) == 0 or board.loss(c) <= margin]
    simplest = min(c.complexity for c in near)
    return [c.name for c in near if c.complexity == simplest]


@hookimpl
def register_kernels() -> list[KernelSpec]:
    """The estimators of scikit-learn that answer a row at a time, and very often."""
    estimators = {
        "linear-regression": "sklearn.linear_model:LinearRegression",
        "ridge": "sklearn.linear_model:Ridge",
        "lasso": "sklearn.linear_model:Lasso",
        "elastic-net": "sklearn.linear_model:ElasticNet",
        "logistic-regression": "sklearn.linear_model:LogisticRegression",
        "svr": "sklearn.svm:SVR",
        "random-forest-regressor": "sklearn.ensemble:RandomForestRegressor",
        "random-forest-classifier": "sklearn.ensemble:RandomForestClassifier",
        "extra-trees-regressor": "sklearn.ensemble:ExtraTreesRegressor",
        "extra-trees-classifier": "sklearn.ensemble:ExtraTreesClassifier",
        "transformed-target": "sklearn.compose:TransformedTargetRegressor",
    }
    return [
        KernelSpec(name=name, estimator=estimator, build=_kernel, summary=f"compiled {estimator.partition(':')[2]}")
        for name, estimator in estimators.items()
    ]


def _kernel(pipeline: Any, signature: Signature) -> Kernel | None:
    from pegboard.kernels.families import build

    return build(pipeline, signature)


@hookimpl
def register_rules() -> list[RuleSpec]:
    """What a version proves before an environment takes it; ``serving`` comes with the serving distribution."""
    rules = {
        "order": ("checks", "it has been in the environment before"),
        "digests": ("checks", "its files are as published, and signed where keys are trusted"),
        "validation": ("checks", "its training data passed validation"),
        "plugins": ("checks", "the plugins that took part are installed"),
        "size": ("checks", "its bundle is no larger than the limit"),
        "baseline": ("comparison", "its recipe beats the baselines on unseen rows"),
        "champion": ("comparison", "its recipe is better than the champion's, or no worse than the margin"),
    }
    return [
        RuleSpec(name=name, check=partial(_rule, f"pegboard.gate.{module}", name), summary=summary)
        for name, (module, summary) in rules.items()
    ]


def _rule(module: str, name: str, promotion: Promotion) -> Outcome:
    # By name, as commands are: rules that compare know the stages of training, which this module does not.
    outcome: Outcome = getattr(import_module(module), name)(promotion)
    return outcome


@hookimpl
def register_resolvers() -> list[ResolverSpec]:
    """Versions that are named by where they are, for servers that are told nothing else."""
    return [
        ResolverSpec(name="bundle", prefix="bundle:", make=_in_directory, summary="a bundle's directory, no registry"),
        ResolverSpec(name="s3", prefix="s3://", make=_in_bucket, summary="versions in a bucket, by their whole names"),
    ]


def _in_directory(_registry: str, trusted: Trust | None) -> Versions:
    from pegboard.resolvers import BundleDirectory

    return BundleDirectory(trusted)


def _in_bucket(_registry: str, trusted: Trust | None) -> Versions:
    from pegboard.resolvers import BucketVersions

    return BucketVersions(trusted)


@hookimpl
def register_commands() -> list[CommandSpec]:
    """The core's own subcommands; ``serve`` comes with the serving distribution."""
    summaries = {
        "plugins": "See what hangs on the board.",
        "new": "Write a plugin of one's own.",
        "data": "Fetch, describe and validate a source's table.",
        "train": "Validate, compare, choose and publish.",
        "runs": "List, show, compare and report runs.",
        "models": "List, show, promote and roll back published versions.",
        "ledger": "Check the ledger.",
        "registry": "Remove what no alias needs any more.",
        "keys": "Make and show keys that sign bundles.",
        "predict": "Score a file with a published version.",
    }
    modules = {"ledger": "history"}
    return [
        CommandSpec(name=name, load=f"pegboard.cli.{modules.get(name, name)}:{name}", summary=summary)
        for name, summary in summaries.items()
    ]
