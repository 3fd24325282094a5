"""The short way to POST /predict and the way through Flask, and what every response has."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from pegboard.errors import ConfigError
from pegboard.registry import Registry
from pegboard_serve.access import JsonLog
from pegboard_serve.app import create_app
from pegboard_serve.command import token
from pegboard_serve.front import Front
from pegboard_serve.loaded import Loaded
from pegboard_serve.service import service
from pegboard_serve.settings import Settings

House = Callable[..., dict[str, Any]]
MakeApp = Callable[..., Flask]

SECRET, ADMIN = "a-long-random-secret", "another-long-random-secret"
JSON = "application/json"


def line(name: str, secret: str, *more: str) -> str:
    return " ".join([name, hashlib.sha256(secret.encode()).hexdigest(), *more])


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    return make_app(max_rows=5, max_body=5000)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(f"# who may\n{line('reader', SECRET)}\n\n{line('boss', ADMIN, 'admin')}  # all\n")
    return file


FIELDS = {"MSZoning": ["RL", "Mars"], "LotArea": [9000, 0, -1, 2**53], "TotalBsmtSF": [None, 1.5, "x", 3.5e38]}
CHANGES = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FIELDS.items()})
BODIES = (
    st.lists(CHANGES, min_size=1, max_size=7)
    | CHANGES
    | st.binary(max_size=40)
    | st.sampled_from([b"", b"[]", b"{", b"[1]", b'{"\\ud800": 1}', b"\xff", b"[" * 40, b" " * 5001, b"NaN"])
)


def encoded(body: Any, house_with: House) -> bytes:
    if isinstance(body, bytes):
        return body
    return json.dumps([house_with(**row) for row in body] if isinstance(body, list) else house_with(**body)).encode()


def both_ways(app: Flask, **request: Any) -> list[tuple[str, list[tuple[str, str]], bytes]]:
    assert isinstance(app.wsgi_app, Front)
    answers = []
    for way in (app.wsgi_app, app.wsgi_app.inner):
        environ = EnvironBuilder(path="/predict", method="POST", **request).get_environ()
        chunks, status, headers = run_wsgi_app(way, environ)
        answers.append((status, sorted(headers), b"".join(chunks)))
    return answers


@given(body=BODIES, content_type=st.sampled_from([JSON, f"{JSON}; charset=utf-8", "APPLICATION/JSON", "text/csv", ""]))
@settings(max_examples=300)
def test_the_short_way_and_flask_answer_the_same_bytes(
    app: Flask, house_with: House, body: Any, content_type: str
) -> None:
    given_id = [("X-Request-ID", "r1")]
    short, flask = both_ways(app, data=encoded(body, house_with), content_type=content_type, headers=given_id)
    assert short == (flask[0], sorted([*flask[1], *given_id]), flask[2])
    assert short[0][:3] in ("200", "400", "413", "415", "422")


def test_both_ways_ask_for_a_token(make_app: MakeApp, tokens: Path, house_with: House) -> None:
    guarded = make_app(tokens=str(tokens))
    for authorization, status in ((f"Bearer {SECRET}", "200"), ("Bearer wrong", "401"), (SECRET, "401")):
        headers = {"Authorization": authorization}
        short, flask = both_ways(guarded, json=house_with(), headers=headers)
        assert (short[0][:3], short[2]) == (status, flask[2])
        assert flask[0] == short[0]


def test_a_request_id_is_kept_if_it_may_stand_in_a_header_and_made_if_not(app: Flask, house_with: House) -> None:
    client = app.test_client()
    for path in ("/predict", "/health", "/nowhere"):
        ask = client.post if path == "/predict" else client.get
        assert ask(path, headers={"X-Request-ID": "order-17"}).headers["X-Request-ID"] == "order-17"
        made = {ask(path, headers={"X-Request-ID": bad}).headers["X-Request-ID"] for bad in ("", "a b", "é", "x" * 129)}
        assert len(made) == 4
        assert all(re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", name) for name in made)


def test_only_trusted_hosts_are_answered(make_app: MakeApp, house_with: House) -> None:
    client = make_app(trusted_hosts=("prices.example", ".inner.example")).test_client()
    for host, status in (("prices.example", 200), ("a.inner.example:5000", 200), ("evil.example", 400)):
        assert client.get("/health", headers={"Host": host}).status_code == status
        response = client.post("/predict", json=house_with(), headers={"Host": host})
        assert response.status_code == status
        assert response.headers["X-Request-ID"]
    assert response.mimetype == "application/problem+json"
    assert response.headers["X-Model-Version"].startswith("house-prices/1; sha256=")
    refused = samples(client, "pegboard_request_total", Host="prices.example")
    assert refused['model="house-prices",route="-",status="400",version="1"'] == 2


def test_strict_refuses_categories_that_training_has_not_seen(make_app: MakeApp, house_with: House) -> None:
    client = make_app(strict=True).test_client()
    assert client.post("/predict", json=house_with()).status_code == 200
    response = client.post("/predict", json=[house_with(), house_with(MSZoning="Mars", LotArea="x")])
    assert response.status_code == 422
    assert response.get_json()["problems"] == [
        {
            "row": 1,
            "field": "MSZoning",
            "problem": "is no category that training has seen, and the server is strict",
        },
        {"row": 1, "field": "LotArea", "problem": "must be an integer, not a text"},
    ]


def samples(client: Client, name: str, **headers: str) -> dict[str, float]:
    text = client.get("/metrics", headers=headers).get_data(as_text=True)
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_what_is_answered_is_counted(make_app: MakeApp, house_with: House) -> None:
    client = make_app().test_client()
    for body in ([house_with()] * 3, house_with(MSZoning="Mars"), [house_with(MSZoning="Moon")] * 2, {}, [1]):
        client.post("/predict", json=body)
    served = 'model="house-prices",route="/predict"'
    assert samples(client, "pegboard_request_total") == {
        f'{served},status="200",version="1"': 3,
        f'{served},status="422",version="1"': 2,
    }
    assert samples(client, "pegboard_rows_total") == {f'{served},version="1"': 6}
    assert samples(client, "pegboard_request_in_progress") == {f'{served},version="1"': 0}
    assert samples(client, "pegboard_request_duration_seconds_count") == {f'{served},version="1"': 5}
    assert samples(client, "pegboard_unknown_category_total") == {
        'feature="MSZoning",model="house-prices",version="1"': 3
    }
    assert samples(client, "pegboard_serving") == {'compiled="true",model="house-prices",version="1"': 1}


def test_the_model_route_says_what_serves(make_app: MakeApp) -> None:
    body = make_app().test_client().get("/model").get_json()
    assert (body["name"], body["version"], body["model"]) == ("house-prices", 1, "linear-regression")
    assert (body["compiled"], body["predictor"]) == (True, "kernel 'linear-regression'")
    assert [feature["name"] for feature in body["signature"]["features"]][:2] == ["MSSubClass", "MSZoning"]
    assert body["provenance"]["data"]["rows"] == 2930


def test_nobody_reloads_without_an_admins_token(make_app: MakeApp, tokens: Path) -> None:
    assert make_app().test_client().post("/admin/reload").status_code == 403
    client = make_app(tokens=str(tokens)).test_client()
    statuses = [
        client.post("/admin/reload", headers={"Authorization": given} if given else {}).status_code
        for given in ("", "Bearer no", f"Bearer {SECRET}", f"Bearer {ADMIN}", f"bearer {ADMIN}")
    ]
    assert statuses == [401, 401, 403, 202, 202]
    assert client.post("/admin/reload").headers["WWW-Authenticate"] == "Bearer"


def test_tokens_rotate_while_the_server_runs(make_app: MakeApp, tokens: Path, house_with: House) -> None:
    client = make_app(tokens=str(tokens)).test_client()

    def status(secret: str) -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return client.post("/predict", json=house_with(), headers=headers).status_code

    assert (status(SECRET), status("new")) == (200, 401)
    tokens.write_text(line("reader", SECRET) + "\n" + line("reader-2", "new") + "\n")
    assert (status(SECRET), status("new")) == (200, 200)
    tokens.write_text(line("reader-2", "new") + "\n")
    assert (status(SECRET), status("new")) == (401, 200)
    tokens.write_text("half a line")
    assert (status(SECRET), status("new")) == (401, 200)
    tokens.unlink()
    assert (status(SECRET), status("new")) == (401, 200)


@pytest.mark.parametrize("flags", [[], ["--admin"]])
def test_a_made_token_and_its_line_belong_together(
    make_app: MakeApp, tmp_path: Path, house_with: House, flags: list[str]
) -> None:
    done = CliRunner().invoke(token, ["shop", *flags])
    file = tmp_path / "tokens"
    file.write_text(done.stderr.removeprefix("add to the file of tokens: "))
    client = make_app(tokens=str(file)).test_client()
    headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
    assert client.post("/predict", json=house_with(), headers=headers).status_code == 200
    assert client.post("/admin/reload", headers=headers).status_code == (202 if flags else 403)
    assert CliRunner().invoke(token, ["shop"]).stdout != done.stdout
    assert CliRunner().invoke(token, ["two names"]).exit_code == 2


def test_only_a_compiled_model_is_quick_enough_for_the_loop(make_app: MakeApp, open_bundle: Any) -> None:
    current = service(make_app()).slot.current
    assert current.quick
    assert current.example == {k: v for k, v in open_bundle("house-prices").replay()["rows"][0].items() if k != "Id"}
    registry, version = Registry(current.bundle.directory.parents[2]), current.version
    plain = Loaded.of(registry, version, kernels=(), settings=Settings(model="", registry=""))
    assert (plain.predictor.compiled, plain.quick) == (False, False)


@pytest.mark.parametrize("text", ["reader abc", "reader", f"two names {'0' * 64}", f"reader {'0' * 64} boss"])
def test_a_file_of_tokens_that_is_wrong_stops_the_start_and_names_the_line(
    registry: Path, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"\n{text}\n")
    with pytest.raises(ConfigError, match=r"tokens, line 2: write NAME SHA256 \[admin\]"):
        create_app(Settings(model="house-prices", registry=str(registry), tokens=str(file)))
    with pytest.raises(ConfigError, match="No such file"):
        create_app(Settings(model="house-prices", registry=str(registry), tokens=str(tmp_path / "none")))


def test_the_log_has_a_line_of_json_for_each_request(make_app: MakeApp, house_with: House) -> None:
    app = make_app()
    assert isinstance(app.wsgi_app, Front)
    readable, writable = os.pipe()
    app.wsgi_app.log = JsonLog(writable)
    client = app.test_client()
    client.post("/predict", json=[house_with()] * 2, headers={"X-Request-ID": "a"}, buffered=True)
    client.get("/" + "x" * 3000, headers={"X-Request-ID": "b"}, buffered=True)
    first, second = (json.loads(text) for text in os.read(readable, 65536).splitlines())
    os.close(readable)
    os.close(writable)
    assert first.pop("time")
    assert 0 < first.pop("ms") < 60_000
    assert first.pop("bytes") > 50
    assert first == {
        "request_id": "a",
        "remote": "127.0.0.1",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "rows": 2,
        "model": "house-prices/1",
    }
    assert (second["request_id"], second["status"], second["rows"], len(second["path"])) == ("b", 404, 0, 500)


def test_a_log_that_is_full_or_gone_stops_nobody(make_app: MakeApp, house_with: House) -> None:
    app = make_app()
    assert isinstance(app.wsgi_app, Front)
    readable, writable = os.pipe()
    app.wsgi_app.log = JsonLog(writable)
    client = app.test_client()
    for _ in range(600):  # a pipe holds 64 KiB, less than 600 lines
        assert client.post("/predict", json=house_with(), buffered=True).status_code == 200
    os.close(readable)
    assert client.post("/predict", json=house_with(), buffered=True).status_code == 200
    os.close(writable)
    assert client.post("/predict", json=house_with(), buffered=True).status_code == 200


def test_a_body_that_says_nothing_of_its_length_is_empty(app: Flask) -> None:
    environ = EnvironBuilder(path="/predict", method="POST", content_type=JSON).get_environ()
    environ["wsgi.input"] = io.BytesIO(b"[]")
    environ.pop("CONTENT_LENGTH", None)
    _, status, _ = run_wsgi_app(app.wsgi_app, environ)
    assert status == "400 Bad Request"
