"""Ask a running server with tritonclient and with MLflow's scoring client, and compare with ``pegboard predict``.

Called by ``run.py`` with the clients' own interpreter: ``check.py MODEL PORT ROWS.csv EXPECTED.csv``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import requests
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

TOLERANCE = 1e-9
NUMPY = {"FP64": np.float64, "INT64": np.int64, "BYTES": np.object_}


def agree(what: str, found: Any, expected: pd.Series[Any] | pd.DataFrame) -> None:
    """Labels must be the same, numbers within the tolerance."""
    found, wanted = np.asarray(found), expected.to_numpy()
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, not {wanted.shape}"
    if wanted.dtype.kind == "f":
        off = float(np.max(np.abs(found - wanted) / np.abs(wanted)))
        assert off <= TOLERANCE, f"{what}: {off:.3g} off"
        print(f"ok  {what}: {len(found)} rows, at most {off:.1e} off")
    else:
        assert [str(label) for label in found.tolist()] == [str(label) for label in wanted.tolist()], what
        print(f"ok  {what}: {len(found)} rows, the same labels")


def refused(what: str, ask: Callable[[], Any], error: type[Exception], *words: str) -> None:
    """The client must raise its own error, in the server's words."""
    try:
        ask()
    except error as raised:
        message = str(raised)
    else:
        raise AssertionError(f"{what} was not refused")
    assert all(word in message for word in words), f"{what}: {message}"
    print(f"ok  {what} is refused: {message[:100]}")


def triton_inputs(rows: pd.DataFrame, metadata: dict[str, Any], binary: bool) -> list[InferInput]:
    """One tensor for each feature, of the datatype that the server's metadata tell."""
    inputs = []
    for tensor in metadata["inputs"]:
        column = rows[tensor["name"]].to_numpy(NUMPY[tensor["datatype"]]).reshape(-1, 1)
        one = InferInput(tensor["name"], list(column.shape), tensor["datatype"])
        inputs.append(one.set_data_from_numpy(column, binary_data=binary))
    return inputs


def check_triton(model: str, port: int, rows: pd.DataFrame, expected: pd.DataFrame) -> None:
    client = InferenceServerClient(f"127.0.0.1:{port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert client.is_model_ready(model, "1")
    assert not client.is_model_ready(model, "2")
    assert client.get_server_metadata()["name"] == "pegboard"
    metadata = client.get_model_metadata(model)
    known = rows.dropna()
    for binary, some in ((True, rows), (False, known)):
        wanted = [InferRequestedOutput(output["name"], binary_data=binary) for output in metadata["outputs"]]
        for outputs in (None, wanted):
            inputs = triton_inputs(some, metadata, binary)
            answer = client.infer(model, inputs, model_version="1", outputs=outputs, request_id="7")
            assert answer.get_response()["id"] == "7"
            form = "binary" if binary else "JSON"
            compare(f"tritonclient, {form}, outputs {'named' if outputs else 'not named'}", answer, expected, some)
    inputs = triton_inputs(known[:1], metadata, True)
    refused("another model", lambda: client.infer("other", inputs), InferenceServerException, "[404] other is not")
    refused(
        "a missing input",
        lambda: client.infer(model, inputs[1:]),
        InferenceServerException,
        f"[400] 1 problem in the rows: {metadata['inputs'][0]['name']}: is missing",
    )


def compare(what: str, answer: Any, expected: pd.DataFrame, some: pd.DataFrame) -> None:
    expected = expected.loc[some.index]
    labels = answer.as_numpy("predict")[:, 0]
    agree(what, [v.decode() if isinstance(v, bytes) else v for v in labels], expected["prediction"])
    probabilities = answer.as_numpy("probabilities")
    if probabilities is not None:
        agree(f"{what}, probabilities", probabilities, expected.filter(like="probability_"))


def check_mlflow(port: int, rows: pd.DataFrame, expected: pd.DataFrame) -> None:
    client = ScoringServerClient("127.0.0.1", port)
    client.wait_server_ready()
    assert client.get_version()
    # What pandas calls NaN the client would write as NaN, which is no JSON.
    with_null = rows.astype(object).where(rows.notna(), None)
    for what, data in [
        ("a DataFrame", with_null),
        ("records", with_null.to_dict("records")),
        ("columns", json.dumps({"inputs": with_null.to_dict("list")})),
        ("instances", json.dumps({"instances": with_null.to_dict("records")})),
    ]:
        found = client.invoke(data)["predictions"]
        agree(f"MLflow's client, {what}", found, expected["prediction"])
    if all(kind.kind == "f" for kind in rows.dtypes):
        found = client.invoke(rows.to_numpy())["predictions"]
        agree("MLflow's client, an array", found, expected["prediction"])
    url, text = f"http://127.0.0.1:{port}/invocations", rows.to_csv(index=False)
    answer = requests.post(url, text, headers={"Content-Type": "text/csv"}, timeout=60).json()
    agree("a CSV to /invocations", answer["predictions"], expected["prediction"])
    if rows.isna().any(axis=None):
        refused("NaN", lambda: client.invoke(rows), Exception, "error code 400", "null stands for a missing value")
    last, lacking = rows.columns[-1], with_null[:1].iloc[:, :-1]
    refused("a missing column", lambda: client.invoke(lacking), Exception, "error code 400", f"{last}: is missing")


def main(model: str, port: int, rows: str, expected: str) -> None:
    table, answers = pd.read_csv(rows), pd.read_csv(expected)
    check_triton(model, port, table, answers)
    check_mlflow(port, table, answers)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
