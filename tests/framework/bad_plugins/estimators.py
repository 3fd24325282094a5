"""Estimators with one defect each. What is not the defect is as it should be."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression, LogisticRegression

LEARNED = {}


class Unclonable(LinearRegression):
    """Keeps a copy of its parameter."""

    def __init__(self, weights=()):
        super().__init__()
        self.weights = list(weights)


class IgnoresSeed(LinearRegression):
    def fit(self, X, y):
        return super().fit(X, y + np.random.normal(size=len(y)))


class ChangesFeatures(LinearRegression):
    def fit(self, X, y):
        X[:, 0] = np.round(X[:, 0])
        return super().fit(X, y)


class ChangesTarget(LinearRegression):
    def fit(self, X, y):
        self.mean_ = y.mean()
        y -= self.mean_
        return super().fit(X, y)

    def predict(self, X):
        return super().predict(X) + self.mean_


class RefusesNulls(RegressorMixin, BaseEstimator):
    """Wants its columns as they are, and cannot take what comes with them."""

    def fit(self, X, y):
        self.inner_ = LinearRegression().fit(self._numbers(X), y)
        return self

    def predict(self, X):
        return self.inner_.predict(self._numbers(X))

    def _numbers(self, X):
        numbers = X.select_dtypes("number")
        if numbers.isna().to_numpy().any():
            raise ValueError("nulls in the numbers")
        return numbers.to_numpy()


class RefusesUnknown(LinearRegression):
    """Looks for the block of one-hot columns at the end, and wants a category in it."""

    def fit(self, X, y):
        blocks = (k for k in range(1, X.shape[1] + 1) if (X[:, -k:].sum(axis=1) == 1).all())
        self.block_ = next(blocks, 0)
        return super().fit(X, y)

    def predict(self, X):
        if self.block_ and (X[:, -self.block_ :].sum(axis=1) == 0).any():
            raise KeyError("what category is that?")
        return super().predict(X)


class RefusesConstants(LinearRegression):
    def fit(self, X, y):
        if (X.std(axis=0) == 0).any():
            raise ZeroDivisionError("a column without spread")
        return super().fit(X, y)


class RefusesOneRow(LinearRegression):
    def predict(self, X):
        return (X if len(X) > 1 else X[0]) @ self.coef_ + self.intercept_


class RefusesFewRows(LinearRegression):
    def fit(self, X, y):
        if len(X) < 30:
            raise ValueError("too few rows")
        return super().fit(X, y)


class FirstColumn(LinearRegression):
    def fit(self, X, y):
        return super().fit(X[:, :1], y)

    def predict(self, X):
        return super().predict(X[:, :1])


class LooksAround(LinearRegression):
    """Centres what it is asked for by itself."""

    def predict(self, X):
        return (X - X.mean(axis=0)) @ self.coef_ + self.intercept_


class CountsRows(LinearRegression):
    def predict(self, X):
        return super().predict(X) + np.arange(len(X))


class Logarithm(LinearRegression):
    """Has no answer for what is not positive."""

    def fit(self, X, y):
        self.largest_ = X.mean(axis=0).argmax()
        return super().fit(np.log(np.abs(X[:, [self.largest_]]) + 1e-9), y)

    def predict(self, X):
        with np.errstate(invalid="ignore", divide="ignore"):
            return super().predict(X[:, [0]] * 0) + np.log(X[:, self.largest_]) * self.coef_[0]


class HoldsLambda(LinearRegression):
    def fit(self, X, y):
        self.link_ = lambda values: values
        return super().fit(X, y)


class Forgets(LinearRegression):
    """Keeps what it has learned in the module."""

    def fit(self, X, y):
        self.key_ = len(LEARNED)
        LEARNED[self.key_] = LinearRegression().fit(X, y)
        return self

    def predict(self, X):
        return LEARNED[self.key_].predict(X)


class Penalised(LinearRegression):
    """Has a choice that it does not know."""

    def __init__(self, penalty="l2"):
        super().__init__()
        self.penalty = penalty

    def fit(self, X, y):
        if self.penalty not in ("l1", "l2"):
            raise ValueError(f"no penalty {self.penalty!r}")
        return super().fit(X, y)


class LoseProbability(LogisticRegression):
    def predict_proba(self, X):
        return 0.9 * super().predict_proba(X)


class BackwardClasses(LogisticRegression):
    """Its classes come in another order than everybody's."""

    def fit(self, X, y):
        self.inner_ = LogisticRegression(max_iter=1000).fit(X, y)
        self.classes_ = self.inner_.classes_[::-1]
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)[:, ::-1]

    def predict(self, X):
        return self.inner_.predict(X)
