"""The default preprocessing: from canonical columns to a matrix, as the signature and the model want it.

The transformers are scikit-learn's own, so a bundle needs no class of ours to be unpickled.
"""

from __future__ import annotations

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pegboard.signature import Signature
from pegboard.specs import Wants

#: Categories seen fewer times share one column, and so do categories that training never saw.
RARE = 10


def tabular(signature: Signature, wants: Wants) -> Any:
    """Numbers: median for what is missing, then scaled if wanted. Categories: one-hot, missing being one of them.

    A column without any value in the training rows becomes zeros. A category that training has not seen is encoded
    as the rare ones are, or as zeros where there were none.
    """
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
