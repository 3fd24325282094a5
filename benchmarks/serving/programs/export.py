"""Take a published version's pipeline out of its bundle, and ask it for the house that every server is asked for.

Runs in Pegboard's environment: export.py REGISTRY HOUSE OUT, with HOUSE as JSON. Writes OUT/pipeline.joblib and prints
a JSON object: the version, the features' kinds by name, the pipeline's own answer, and what Pegboard answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from pegboard.registry import Registry

registry, house, out = Registry(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
version = registry.versions()[-1]
bundle = registry.open(version)
out.mkdir(parents=True, exist_ok=True)
(out / "pipeline.joblib").write_bytes(bundle.read("pipeline.joblib"))
expected = float(bundle.pipeline().predict(pd.DataFrame([house]))[0])
answer = {"predictions": [expected], "model": version.name, "version": version.number}
print(
    json.dumps(
        {
            "version": str(version),
            "kinds": {feature.name: feature.kind for feature in bundle.signature.features},
            "expected": expected,
            "answer": json.dumps(answer, separators=(",", ":")) + "\n",
        }
    )
)
