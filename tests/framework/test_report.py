"""The report: one page, for every end of a run, that asks for nothing and can be trusted with any name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pegboard import SourceSpec
from pegboard.runs.record import RunRecord, Runs
from pegboard.runs.report import render
from pegboard.runs.svg import drawn, label
from pegboard.stores import open_store

VOID = {"meta", "br", "hr", "img", "input", "link"}
NASTY = {
    "<script>alert(1)</script>": "<img src=x onerror=alert(2)>",
    '"><b onclick="alert(3)">': "{{ 7 * 7 }}",
    "price [$] per area [$_2]": "</style>",
    "null \x00 and \u202e": "&amp;",
    "a very long name of a column that does not end where one would think": "ß\N{SNOWMAN}",
}


class Page(HTMLParser):
    """What a page is made of: elements with their attributes, and its text; refuses elements that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def nasty() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.choice([value, "b"], 120) for name, value in NASTY.items()})
    frame["y"] = (frame.iloc[:, 0] == "b") * 40_000 + rng.normal(scale=900, size=120)
    return frame


@pytest.fixture(scope="module")
def records(train_into: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    """A run of each kind that ends well; the others are made of them."""
    registry = tmp_path_factory.mktemp("registry")
    rule = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 3}, "severity": "warning"}
    source = SourceSpec(name="nasty", task="regression", target="y", load=nasty, expectations=[rule])
    chosen = {"nasty": ("linear-regression", "svr"), "iris": ("logistic-regression",)}
    train_into(registry, chosen, source)
    return dict(zip(chosen, (Runs(open_store(registry)).get(number) for number in (1, 2)), strict=True))


def ends(record: RunRecord) -> dict[str, RunRecord]:
    error = {"stage": "compare", "type": "TrainingError", "message": "no candidate finished: <script>"}
    failed = replace(record, status="failed", error=error, version="", digest="", model="", evaluation=None)
    begun = {"number": 7, "name": "n", "started_at": record.started_at, "actor": "ops"}
    return {
        "published": record,
        "failed": failed,
        "failed while publishing": replace(record, status="failed", error=error, version="", digest=""),
        "refused": replace(failed, candidates=(), scorer="", data={**(record.data or {}), "fingerprint": None}),
        "interrupted": replace(failed, status="interrupted", data=None, validation=None, candidates=()),
        "unfinished": RunRecord(status="unfinished", environment=record.environment, **begun),  # type: ignore[arg-type]
    }


END = ["published", "failed", "failed while publishing", "refused", "interrupted", "unfinished"]


@pytest.mark.parametrize("name", ["nasty", "iris"])
@pytest.mark.parametrize("end", END)
def test_every_end_of_a_run_has_a_report_that_asks_for_nothing(
    end: str, name: str, records: dict[str, RunRecord]
) -> None:
    html = render(ends(records[name])[end])
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(tags)
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for target in ("src", "href", "data", "action", "srcset"):
            assert (attributes.get(target) or "#").startswith("#")
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []
    assert "http" not in re.sub(r"http-equiv", "", re.sub(r"https?://[^\s\"]*", "", html)).lower()
    assert tags.count("h1") == tags.count("main") == 1


def test_names_that_are_markup_are_shown_and_do_nothing(records: dict[str, RunRecord]) -> None:
    page = Page(render(records["nasty"]))
    assert not [attributes for _, attributes in page.elements if "onclick" in attributes or "onerror" in attributes]
    assert "script" not in [tag for tag, _ in page.elements]
    for name in NASTY:
        assert name.replace("\x00", "\N{REPLACEMENT CHARACTER}") in page.text
    assert "<img src=x onerror=alert(2)>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "no candidate finished: <script>" in Page(render(ends(records["nasty"])["failed"])).text


@pytest.mark.parametrize("name", ["nasty", "iris"])
def test_figures_share_no_id_and_every_reference_leads_somewhere(name: str, records: dict[str, RunRecord]) -> None:
    html = render(records[name])
    ids = [a["id"] for _, a in Page(html).elements if a.get("id")]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", html)) | {i[1:] for i in re.findall(r'href="([^"]+)"', html)}
    assert used == set(ids)
    assert len(used) > 4


@pytest.mark.parametrize(("name", "figures"), [("nasty", 4), ("iris", 3)])
def test_figures_are_described_are_text_and_follow_the_pages_colours(
    name: str, figures: int, records: dict[str, RunRecord]
) -> None:
    html = render(records[name])
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == figures
    for drawing in drawings:
        assert re.match(r'<svg viewBox="0 0 360 [\d.]+" role="img" aria-label="[^"]{20,}">', drawing)
        assert "<text" in drawing
        assert re.findall(r"#[0-9a-fA-F]{6}\b", re.sub(r'"#[^"]*"|url\([^)]*\)', "", drawing)) == []
        assert "font-family" not in drawing.replace("font-family: inherit", "")
    variables = set(re.findall(r"var\((--[\w-]+)\)", html))
    assert variables - {"--share"} <= set(re.findall(r"(--[\w-]+):", html))
    assert "prefers-color-scheme: dark" in html


def test_the_report_says_what_the_run_came_to(records: dict[str, RunRecord]) -> None:
    record = records["nasty"]
    text = re.sub(r"\s+", " ", Page(render(record)).text)
    board = record.leaderboard
    assert board is not None
    assert f"{record.model} won with a mean rmse of {board[record.model].mean:,.2f} over 5 folds" in text
    assert f"scores {record.evaluation['score']:,.2f} on {record.evaluation['rows']} rows" in text  # type: ignore[index]
    for candidate in board.candidates:
        assert candidate.name in text
    assert "<dt>published as</dt><dd>nasty/1</dd>" in render(record)
    assert f"sha256:{record.digest}" in text
    assert f"sha256:{record.data['fingerprint']}" in text  # type: ignore[index]
    assert "expect_table_row_count_to_equal (value = 3)" in text
    assert "these do not:" in text
    assert f"scikit-learn {record.environment['libraries']['scikit-learn']}" in text
    assert "The data breaks some expectations" in text
    assert "dummy-regressor baseline" in text


def test_a_classification_shows_its_confusion_as_a_table(records: dict[str, RunRecord]) -> None:
    record = records["iris"]
    assert record.evaluation is not None
    page = render(record)
    (table,) = re.findall(r'<table class="confusion">.*?</table>', page, re.DOTALL)
    counts = [int(n) for n in re.findall(r"<td[^>]*>(\d+)</td>", table)]
    assert counts == [n for row in record.evaluation["confusion"]["counts"] for n in row]
    assert re.findall(r'scope="row">(\w+)<', table) == ["setosa", "versicolor", "virginica"]
    assert "predicts species, one of setosa, versicolor, virginica" in page


def test_a_winner_that_does_not_help_is_said_to_be_one(records: dict[str, RunRecord]) -> None:
    rows = tuple({**c, "scores": [5.0, 6.0], "mean": 5.5} for c in records["iris"].candidates)
    text = Page(render(replace(records["iris"], candidates=rows, evaluation=None))).text
    assert "does not beat the baseline" in text
    assert "does not beat the baseline" not in Page(render(records["iris"])).text


def test_the_same_record_gives_the_same_page(records: dict[str, RunRecord]) -> None:
    assert render(records["nasty"]) == render(records["nasty"])


def test_a_report_with_as_many_points_as_there_can_be_is_still_small(records: dict[str, RunRecord]) -> None:
    rng = np.random.default_rng(0)
    points = {"actual": rng.normal(size=2000).tolist(), "predicted": rng.normal(size=2000).tolist()}
    evaluation = {**(records["nasty"].evaluation or {}), "predictions": points}
    page = render(replace(records["nasty"], evaluation=evaluation))
    assert page.count("<use ") > 2 * 2000
    assert len(page.encode()) < 400_000


def test_a_single_point_and_a_single_value_can_be_drawn(records: dict[str, RunRecord]) -> None:
    one = {**(records["nasty"].evaluation or {}), "predictions": {"actual": [3.0], "predicted": [3.0]}}
    assert "off by at most 0.0000" in render(replace(records["nasty"], evaluation=one))
    none = {**one, "predictions": {"actual": [], "predicted": []}}
    assert "off by at most" not in render(replace(records["nasty"], evaluation=none))


def test_a_drawing_takes_any_text_as_it_is() -> None:
    svg = drawn("n", 'a "title" & <more>', 2.0, lambda axes: axes.set_xlabel(label("$x$ <b> \x07" + "z" * 50)) and None)
    assert 'aria-label="a &quot;title&quot; &amp; &lt;more&gt;"' in svg
    assert "$x$ &lt;b&gt; \N{REPLACEMENT CHARACTER}" + "z" * 20 + "…" in svg


def test_reports_of_a_store_can_be_read_back(records: dict[str, RunRecord], tmp_path: Path) -> None:
    store = open_store(tmp_path)
    begun = Runs(store).start("iris", actor="ops", experiment={}, environment={})
    Runs(store).finish(replace(records["iris"], number=begun.number))
    assert Runs(store).get(1) == replace(records["iris"], number=1)
