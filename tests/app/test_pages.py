"""The pages for people, as a browser gets them; what they do in one is under tests/browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from pegboard.leaderboard import Candidate, Leaderboard
from pegboard_serve.board import board, figure
from pegboard_serve.form import fields
from pegboard_serve.loaded import Loaded
from pegboard_serve.service import service

MakeApp = Callable[..., Flask]
HOSTILE = "</script><script>alert('x')</script> & \"q\"\r\n"


class Page(HTMLParser):
    """A page's tags, and the text inside scripts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.tags[-1][0] if self.tags else "", []).append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> dict[str, dict[str, str | None]]:
        return {str(a["id"]): a for _, a in self.tags if "id" in a}

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(next(text for text in self.text["script"] if text.startswith("{")))


def page(app: Flask, path: str = "/") -> Page:
    return Page(get(app, path).text)


def get(app: Flask, path: str) -> TestResponse:
    response = app.test_client().get(path)
    assert (response.status_code, response.mimetype) == (200, "text/html"), response.text
    return response


def loaded(app: Flask) -> Loaded:
    return service(app).slot.current


@pytest.fixture(scope="module")
def houses(make_app: MakeApp) -> Flask:
    return make_app(access_log=False)


@pytest.fixture(scope="module", params=["/", "/docs"])
def path(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_page_may_load_only_from_this_server_and_runs_nothing_inline(houses: Flask, path: str) -> None:
    policy = get(houses, path).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    shown = page(houses, path)
    assert not [a for _, a in shown.tags for name in a if name == "style" or name.startswith("on")]
    assert not shown.every("style")
    assert all("src" in a or a.get("type") == "application/json" for a in shown.every("script"))


def test_everything_that_a_page_links_is_there_behind_any_prefix(houses: Flask, path: str) -> None:
    shown = page(houses, path)
    links = {str(a[name]) for _, a in shown.tags for name in ("src", "href") if name in a}
    assert len(links) >= 5
    client = Client(DispatcherMiddleware(lambda *_: pytest.fail("outside"), {"/behind/a": houses.wsgi_app}))
    for link in links:
        assert "//" not in link
        assert not link.startswith("/")
        assert client.get(f"/behind/a/{link.removeprefix('./')}").status_code == 200


def test_the_form_asks_for_every_feature_and_holds_the_example(houses: Flask) -> None:
    shown, example = page(houses), loaded(houses).bundle.replay()["rows"][0]
    labels = {a["for"] for a in shown.every("label")}
    features = loaded(houses).bundle.signature.features
    assert labels == {f"f{i}" for i in range(len(features))} <= shown.ids.keys()
    for i, feature in enumerate(features):
        if feature.kind != "category":
            assert shown.ids[f"f{i}"]["type"] == "number"
            assert float(str(shown.ids[f"f{i}"]["value"])) == example[feature.name]
    chosen = [int(str(a["value"])) for a in shown.every("option") if "selected" in a]
    texts = [feature for feature in features if feature.kind == "category"]
    assert [f.categories[i] for f, i in zip(texts, chosen, strict=True) if f.categories] == [
        example[f.name] for f in texts
    ]


def test_every_description_of_a_control_is_on_the_page(houses: Flask) -> None:
    shown = page(houses)
    described = [name for _, a in shown.tags for name in str(a.get("aria-describedby", "")).split()]
    labelled = [name for _, a in shown.tags for name in str(a.get("aria-labelledby", "")).split()]
    assert len(described) > 11
    assert {*described, *labelled} <= shown.ids.keys()


def test_another_category_is_offered_unless_the_server_is_strict(houses: Flask, make_app: MakeApp) -> None:
    strict = page(make_app(strict=True, access_log=False))
    assert sum(a["value"] == "other" for a in page(houses).every("option")) == 4
    assert not [a for a in strict.every("option") if a["value"] == "other"]
    assert not [name for name in strict.ids if name.endswith("-other")]


def test_a_field_for_the_token_is_there_where_there_are_tokens(
    houses: Flask, make_app: MakeApp, tmp_path: Path
) -> None:
    (file := tmp_path / "tokens").write_text(f"someone {'0' * 64}\n")
    assert page(make_app(tokens=str(file), access_log=False)).ids["token"]["type"] == "password"
    assert "token" not in page(houses).ids


@pytest.fixture
def hostile(make_app: MakeApp) -> Flask:
    """A version whose every name is markup."""
    app = make_app(access_log=False)
    this = loaded(app)
    manifest = json.loads(json.dumps(dict(this.bundle.manifest)))
    features = manifest["signature"]["features"]
    features[1]["categories"].append(HOSTILE)
    manifest["signature"]["target"] = manifest["data"]["origin"] = HOSTILE
    manifest["leaderboard"]["candidates"].append({"name": HOSTILE, "error": HOSTILE, "scores": []})
    service(app).slot.current = replace(this, bundle=replace(this.bundle, manifest=manifest))
    return app


def test_markup_in_any_name_is_shown_and_never_read(hostile: Flask) -> None:
    shown = page(hostile)
    assert [a.get("src", a.get("id")) for a in shown.every("script")] == ["data", "static/form.js"]
    assert shown.data["target"] == HOSTILE
    assert shown.data["features"][1]["choices"][-1] == HOSTILE
    assert "</script><script>alert('x')</script> & \"q\"" in "".join(shown.text["option"])
    assert "<script>alert" not in get(hostile, "/").text


def test_a_candidate_that_failed_is_on_the_board_without_a_picture(hostile: Flask) -> None:
    *_, failed = board(loaded(hostile).bundle).places
    assert (failed.name, failed.note, failed.dots) == (HOSTILE, f"failed: {HOSTILE}", ())


def test_the_leaderboard_and_the_card_say_what_the_bundle_says(houses: Flask) -> None:
    html, bundle = get(houses, "/").text, loaded(houses).bundle
    for candidate in bundle.leaderboard.candidates:
        assert f"<strong>{figure(candidate.mean)}</strong> ± {figure(candidate.spread)}" in html
    holdout = bundle.manifest["metrics"]["holdout"]
    for fact in (f"rmse {figure(holdout)}", "2,930 rows", "house-prices/1", bundle.digest[:16]):
        assert fact in html


scores = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).map(tuple)


@given(several=st.lists(scores, min_size=1, max_size=4), greater=st.booleans())
def test_every_mark_on_the_board_lies_on_its_scale_in_the_order_of_the_scores(
    houses: Flask, several: list[tuple[float, ...]], greater: bool
) -> None:
    found = Leaderboard.of("any", greater, [Candidate(f"m{i}", s) for i, s in enumerate(several)])
    bundle = replace(loaded(houses).bundle, manifest={**loaded(houses).bundle.manifest, "leaderboard": found.to_dict()})
    for place, candidate in zip(board(bundle).places, found.candidates, strict=True):
        at = [float(mark.removesuffix("%")) for mark in (*place.dots, place.at, place.start, place.end)]
        assert all(0 <= x <= 100 for x in at)
        pairs = sorted(zip(candidate.scores, at, strict=False))
        assert [x for _, x in pairs] == sorted(x for _, x in pairs)


@pytest.mark.parametrize(
    ("value", "shown"), [(35921.07, "35,921"), (0.12791, "0.1279"), (-1234.5, "-1,234"), (999.96, "1000"), (0, "0")]
)
def test_a_figure_has_the_digits_that_matter(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_arrow_keys_step_by_ones_or_by_a_tenth_of_what_training_saw(make_app: MakeApp) -> None:
    steps = {field.name: field.step for field in fields(loaded(make_app("iris", access_log=False)), strict=False)}
    assert steps["sepal length (cm)"] == "0.1"
    assert {f.step for f in fields(loaded(make_app(access_log=False)), False) if f.name == "YearBuilt"} == {"1"}


def test_swagger_ui_comes_from_the_package_and_nothing_else_of_it_is_sent(houses: Flask) -> None:
    client = houses.test_client()
    assert b"SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").data
    for other in ("index.html", "oauth2-redirect.html", "..%2f__init__.py", "../flask_swagger_ui.py"):
        assert client.get(f"/docs/{other}").status_code == 404


def test_a_page_names_its_version_as_every_response_does(houses: Flask, path: str) -> None:
    assert get(houses, path).headers["X-Model-Version"] == loaded(houses).label
