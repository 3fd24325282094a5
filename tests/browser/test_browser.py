"""The pages in a real browser, against a real server."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from pegboard.registry import Registry

PATIENCE = 30
PHONE, DESKTOP = (360, 740), (1280, 900)

Serve = Callable[..., AbstractContextManager[str]]


class Look:
    """A browser that looks at one server."""

    def __init__(self, browser: Chrome, pictures: Path) -> None:
        self.browser = browser
        self.pictures = pictures

    def open(self, url: str, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Look:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": size == PHONE}
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.browser.get(url)
        return self

    def one(self, selector: str) -> WebElement:
        return self.until(lambda browser: next(iter(browser.find_elements(By.CSS_SELECTOR, selector)), None))

    def until(self, condition: Callable[[Chrome], Any]) -> Any:
        return WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(condition)

    def field(self, name: str) -> WebElement:
        label = next(x for x in self.browser.find_elements(By.TAG_NAME, "label") if x.text == name)
        return self.browser.find_element(By.ID, str(label.get_attribute("for")))

    def write(self, name: str, text: str) -> None:
        field = self.field(name)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text or Keys.DELETE)

    def predict(self) -> str:
        """Press the button, and return what is said then: an answer, or nothing and there is trouble."""
        script = "document.querySelectorAll('#said > *, #trouble > *').forEach(x => x.dataset.before = 'yes')"
        self.browser.execute_script(script)
        self.browser.find_element(By.ID, "predict").click()
        self.one(".value:not([data-before]), #trouble > :not([data-before])")
        values = self.browser.find_elements(By.CSS_SELECTOR, ".value:not([data-before])")
        return values[0].text if values else ""

    def error_at(self, name: str) -> str:
        field = self.field(name)
        assert field.get_attribute("aria-invalid") == "true"
        described = str(field.get_attribute("aria-describedby")).split()[-1]
        return self.browser.find_element(By.ID, described).text

    def width_needed(self) -> int:
        return int(self.browser.execute_script("return document.documentElement.scrollWidth"))

    def picture(self, name: str) -> None:
        shown = self.browser.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": shown[0], "height": shown[1], "scale": 1}
        taken = self.browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        (self.pictures / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def complaints(self) -> list[str]:
        """What the browser's console says, refused scripts and styles included."""
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def look(chromium: Chrome, pictures: Path) -> Iterator[Look]:
    chromium.get_log("browser")
    yield Look(chromium, pictures)
    chromium.get("about:blank")


def asked(url: str, row: dict[str, Any]) -> Any:
    request = Request(f"{url}/predict", json.dumps(row).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


def example(url: str) -> dict[str, Any]:
    with urlopen(f"{url}/openapi.json", timeout=PATIENCE) as response:
        return json.load(response)["components"]["schemas"]["Row"]["examples"][0]


def test_a_house_that_is_filled_in_costs_what_predict_says(look: Look, houses: str) -> None:
    look.open(houses)
    look.write("LotArea", "9627")
    look.write("TotalBsmtSF", "996.5")
    look.write("BsmtFinSF2", "")
    Select(look.field("LotConfig")).select_by_visible_text("CulDSac")
    changed = {"LotArea": 9627, "TotalBsmtSF": 996.5, "BsmtFinSF2": None, "LotConfig": "CulDSac"}
    (price,) = asked(houses, {**example(houses), **changed})["predictions"]
    assert look.predict() == f"{price:,.0f}"
    assert look.one("#said .quiet").text == f"exactly {price}"
    assert look.complaints() == []


def test_the_form_works_from_the_keyboard_and_the_answer_is_announced(look: Look, houses: str) -> None:
    look.open(houses)
    look.write("LotArea", "9627" + Keys.ENTER)
    assert look.one(".value").text
    assert look.one("[role=status][aria-live=polite] .value")


def test_every_problem_is_shown_at_its_field_and_the_first_has_the_focus(look: Look, houses: str) -> None:
    look.open(houses)
    look.write("LotArea", "")
    look.write("YearBuilt", "1990.5")
    assert look.predict() == ""
    assert look.error_at("LotArea") == "must not be null: the training data has no nulls here"
    assert look.error_at("YearBuilt") == "must be an integer"
    assert look.one("#trouble[role=alert] .summary").text == "2 problems: see the marked fields"
    assert look.browser.switch_to.active_element == look.field("LotArea")
    look.picture("problems")
    look.write("LotArea", "9627")
    look.write("YearBuilt", "1990")
    assert look.predict()
    assert not look.browser.find_elements(By.CSS_SELECTOR, "[aria-invalid], #trouble > *, .error:not([hidden])")


def test_a_number_outside_training_is_pointed_out_and_answered(look: Look, houses: str) -> None:
    look.open(houses)
    look.write("YearBuilt", "1066")
    assert look.one(".outside .hint").text == "Outside 1872 to 2010"
    assert look.predict()


def test_another_category_can_be_written_unless_the_server_is_strict(look: Look, houses: str, serve: Serve) -> None:
    look.open(houses)
    Select(look.field("MSZoning")).select_by_visible_text("other…")
    look.one("#f1-other").send_keys("nowhere")
    (price,) = asked(houses, {**example(houses), "MSZoning": "nowhere"})["predictions"]
    assert look.predict() == f"{price:,.0f}"
    with serve("house-prices", "--strict") as strict:
        look.open(strict)
        assert "other…" not in [option.text for option in Select(look.field("MSZoning")).options]


def test_an_answer_to_another_row_is_dimmed_until_it_is_asked_for_anew(look: Look, houses: str) -> None:
    look.open(houses)
    look.predict()
    assert not look.browser.find_elements(By.CSS_SELECTOR, ".stale")
    look.write("LotArea", "9627")
    assert look.one(".stale .value")
    look.predict()
    assert not look.browser.find_elements(By.CSS_SELECTOR, ".stale")


def test_an_answer_of_a_newer_version_than_the_page_says_so(
    look: Look, serve: Serve, registry: Path, tmp_path: Path
) -> None:
    versions = Registry(registry)
    newer = tmp_path / "newer"
    shutil.copytree(versions.open(versions.resolve("changing/1")).directory, newer)
    with serve("changing", "--poll", "0.1") as url:
        look.open(url)
        look.predict()
        assert not look.browser.find_elements(By.CSS_SELECTOR, ".notice")
        manifest = json.loads((newer / "manifest.json").read_text())
        (newer / "manifest.json").write_text(json.dumps({**manifest, "created_at": "2030-01-01T00:00:00+00:00"}))
        versions.publish(newer)
        look.until(lambda _: look.predict() and look.browser.find_elements(By.CSS_SELECTOR, ".notice"))
        assert look.one(".notice").text.startswith("Version 2 serves now")
        look.browser.refresh()
        assert look.one(".tags li").text == "version 2"


def test_reset_brings_the_example_back(look: Look, houses: str) -> None:
    look.open(houses)
    before = look.field("LotArea").get_attribute("value")
    look.write("LotArea", "")
    look.predict()
    look.one("button[type=reset]").click()
    look.until(lambda browser: not browser.find_elements(By.CSS_SELECTOR, "[aria-invalid]"))
    assert look.field("LotArea").get_attribute("value") == before


@pytest.mark.parametrize("path", ["", "/docs"], ids=["form", "docs"])
def test_a_phone_shows_the_page_without_scrolling_sideways(look: Look, houses: str, path: str) -> None:
    look.open(houses + path, PHONE)
    if path:
        look.one("#operations-Prediction-predict .opblock-summary-control").click()
        look.one(".opblock-body")
    else:
        look.predict()
    assert look.width_needed() == PHONE[0]
    look.picture(f"phone-{'docs' if path else 'form'}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_are_followed(look: Look, houses: str, scheme: str) -> None:
    look.open(houses, scheme=scheme)
    look.predict()
    look.picture(f"desktop-{scheme}")
    shade = look.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (int(shade.removeprefix("rgb(").split(",")[0]) < 128) == (scheme == "dark")


def test_the_docs_show_every_operation_and_try_one_out(look: Look, houses: str) -> None:
    look.open(f"{houses}/docs")
    look.one(".opblock")
    assert len(look.browser.find_elements(By.CSS_SELECTOR, ".opblock")) == 21
    assert not look.browser.find_elements(By.CSS_SELECTOR, ".errors-wrapper, .warning")
    look.one("#operations-Prediction-predict .opblock-summary-control").click()
    look.one(".try-out__btn").click()
    look.one(".execute").click()
    body = look.one(".live-responses-table .highlight-code").text
    assert json.loads(body[body.index("{") : body.rindex("}") + 1]) == asked(houses, example(houses))
    look.picture("docs")
    assert look.complaints() == []


def test_classes_are_shown_with_their_probabilities(look: Look, serve: Serve) -> None:
    with serve("iris") as url:
        look.open(url)
        answer = asked(url, example(url))
        assert look.predict() == answer["predictions"][0]
        shares = [item.text.split("\n") for item in look.browser.find_elements(By.CSS_SELECTOR, ".shares li")]
        assert [name for name, _ in shares] == list(answer["probabilities"][0])
        expected = [round(share * 100, 1) for share in answer["probabilities"][0].values()]
        assert [float(share.rstrip("%")) for _, share in shares] == pytest.approx(expected, abs=0.1)
        look.picture("classes")
        assert look.complaints() == []


def test_odd_names_and_values_go_out_as_they_are_and_markup_is_only_text(look: Look, serve: Serve) -> None:
    with serve("odd") as url:
        look.open(url)
        row = example(url)
        assert row["<b>kind</b>"] == "two\r\nlines"
        sent = "const real = fetch; window.fetch = (...a) => { window.sent = a[1].body; return real(...a); }"
        look.browser.execute_script(sent)
        assert look.predict() == str(asked(url, row)["predictions"][0])
        assert json.loads(look.browser.execute_script("return window.sent")) == row
        Select(look.field("perhaps")).select_by_visible_text("missing")
        look.predict()
        assert json.loads(look.browser.execute_script("return window.sent")) == {**row, "perhaps": None}
        assert look.browser.title == "odd · Pegboard"
        assert look.complaints() == []


def test_a_token_is_asked_for_and_sent(look: Look, serve: Serve, tmp_path: Path) -> None:
    (file := tmp_path / "tokens").write_text(f"me {hashlib.sha256(b'open sesame').hexdigest()}\n")
    with serve("iris", "--tokens", str(file)) as url:
        look.open(url)
        assert look.predict() == ""
        assert look.error_at("Token") == "This token is not valid here."
        look.write("Token", "open sesame")
        assert look.predict() in {"setosa", "versicolor", "virginica"}


def test_a_server_that_is_gone_is_said_to_be(look: Look, serve: Serve) -> None:
    with serve("iris") as url:
        look.open(url)
    assert look.predict() == ""
    assert look.one("#trouble .summary").text == "The server cannot be reached."
