"""The default preprocessing: from canonical columns to a matrix, as the signature and the model want it.

The transformers are scikit-learn's own, so a bundle needs no class of ours to be unpickled; but for models that know
missing values and categories themselves, for which scikit-learn has nothing that keeps categories apart from numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pegboard.signature import Signature
from pegboard.specs import Wants

#: Categories seen fewer times share one column, and so do categories that training never saw.
RARE = 10

#: The libraries that know categories themselves put them into bins, of which some have 255, one being for the missing.
MOST_NATIVE = 254


def tabular(signature: Signature, wants: Wants) -> Any:
    """Numbers: median for what is missing, then scaled if wanted. Categories: one-hot, missing being one of them.

    A column without any value in the training rows becomes zeros. A category that training has not seen is encoded
    as the rare ones are, or as zeros where there were none. For models that want their columns as they are:
    :class:`NativeColumns`.
    """
    if wants.native:
        return NativeColumns([f.name for f in signature.features if f.kind == "category"])
    numbers = [f.name for f in signature.features if f.kind != "category"]
    categories = [f.name for f in signature.features if f.kind == "category"]
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    encode = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=RARE, sparse_output=not wants.dense)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(impute, StandardScaler()) if wants.scaling else impute, numbers),
            ("categories", encode, categories),
        ],
        sparse_threshold=0.0 if wants.dense else 0.3,
    )


class NativeColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Numbers as they are, texts as pandas' categories, for models that know both, and NaN.

    A text becomes the position of its category among those of the fit, in sorted order; the category is missing for a
    text that the fit has not seen, or that is rarer than the :data:`MOST_NATIVE` most frequent. A number that the fit
    has never seen is 0 where it is missing, as in :func:`tabular`: some libraries refuse a column without any value.
    The columns are renamed ``f0``, ``f1``, … because some libraries refuse some characters in names.
    """

    def __init__(self, categorical: Sequence[str] = ()) -> None:
        self.categorical = categorical

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002, N803 - scikit-learn's names
        """Learn the categories of each text column."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        self.categories_ = [_frequent(X[name]) if name in self.categorical else None for name in X.columns]
        self.missing_ = [0.0 if len(X) and X[name].isna().all() else np.nan for name in X.columns]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803 - scikit-learn's name
        """Return (rows, features): float64 columns, and categorical ones, their categories numbers from 0 on."""
        columns = zip(self.feature_names_in_, self.categories_, self.missing_, strict=True)
        return pd.DataFrame(
            {
                f"f{position}": X[name].fillna(missing) if known is None else _codes(X[name], known)
                for position, (name, known, missing) in enumerate(columns)
            },
            index=X.index,
        )


def _frequent(column: pd.Series[Any]) -> list[str]:
    counts = column.value_counts().sort_index()
    return sorted(counts.sort_values(ascending=False, kind="stable").index[:MOST_NATIVE])


def _codes(column: pd.Series[Any], known: list[str]) -> pd.Categorical[int]:
    codes: npt.NDArray[np.intp] = pd.Index(known, dtype=object).get_indexer(pd.Index(column, dtype=object))
    return pd.Categorical.from_codes(codes, categories=pd.RangeIndex(max(1, len(known))))
