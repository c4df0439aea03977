"""The report in a real Chromium: it opens in peace, and answers the keyboard.

Where there is no Chromium the tests skip and say so; where SYMNET_REQUIRE_BROWSER is set, as
`.ci/run` does, they fail instead.
"""

from __future__ import annotations

import base64
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from symnet.cli.main import main

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
REQUIRED = os.environ.get("SYMNET_REQUIRE_BROWSER", "") not in ("", "0")
pytestmark = pytest.mark.skipif(
    not REQUIRED and not (BROWSER and DRIVER),
    reason="no chromium and chromedriver here (apt-get install chromium chromium-driver)",
)
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--window-size=1300,1000", "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    assert BROWSER, "SYMNET_REQUIRE_BROWSER is set, but there is no chromium"
    assert DRIVER, "SYMNET_REQUIRE_BROWSER is set, but there is no chromedriver"
    options = webdriver.ChromeOptions()
    for switch in SWITCHES:
        options.add_argument(switch)
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(DRIVER, log_output=os.devnull)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Path of the report by model."""
    folder = tmp_path_factory.mktemp("reports")
    for model, epochs in (("moons", "12"), ("digits", "2")):
        path = str(folder / f"{model}.html")
        assert main(["explain", model, "--epochs", epochs, "-o", path]) == 0
    return folder


def show(browser, path: Path, scheme: str = "light", width: int = 1300) -> None:
    # Smooth scrolling would move things away from under the pointer.
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    browser.set_window_size(width, 1000)
    browser.get(path.as_uri())


def ask(browser, script: str, *arguments):
    return browser.execute_script(f"return {script}", *arguments)


@contextmanager
def peace(browser):
    """What happens inside leaves nothing in the console."""
    browser.get_log("browser")
    yield
    assert browser.get_log("browser") == []


BOXES = """[...document.querySelectorAll("math, math mi, math mn")].map((e) => {
  const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("model", ["moons", "digits"])
def test_it_opens_in_peace_with_every_formula_set(browser, reports, model, scheme):
    path = reports / f"{model}.html"
    assert path.stat().st_size < 2_000_000
    with peace(browser):
        show(browser, path, scheme)
        # It opens fast since there is little of it: a browser sets so many elements in a moment.
        elements = ask(browser, "document.querySelectorAll('*').length")
        assert elements < 20_000
        assert ask(browser, "performance.getEntriesByType('resource').length") == 0
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        boxes = ask(browser, BOXES)
        assert len(boxes) > 100
        assert all(boxes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, reports, scheme):
    show(browser, reports / "digits.html", scheme)
    script = """(() => {
      const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => {
        const s = v / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = (e) => { for (; e; e = e.parentElement) {
        const c = getComputedStyle(e).backgroundColor;
        if (!c.startsWith("rgba(0, 0, 0, 0")) return c; } return "rgb(255, 255, 255)"; };
      return [...document.querySelectorAll("h1, h2, p, td, th, a, .label, .shape, math, summary")]
        .map((e) => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }); })()"""
    assert min(ask(browser, script)) >= 4.5
    ground = ask(browser, "getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")


def test_the_slider_moves_the_boundary_by_keyboard(browser, reports):
    show(browser, reports / "moons.html")
    with peace(browser):
        slider = browser.find_element(By.ID, "epoch")
        told = browser.find_element(By.ID, "epoch-text")
        picture = "document.getElementById('plane').toDataURL()"
        assert told.text.startswith("epoch 12, loss ")
        last = ask(browser, picture)
        slider.send_keys(Keys.ARROW_LEFT)
        assert told.text.startswith("epoch 11, ")
        before = ask(browser, picture)
        assert before != last
        slider.send_keys(Keys.HOME)
        assert told.text.startswith("before training, ")
        assert ask(browser, picture) not in (last, before)
        slider.send_keys(Keys.END)
        assert ask(browser, picture) == last
        assert slider.get_attribute("aria-valuetext") == told.text
        inks = ask(browser, """(() => { const c = document.getElementById('plane');
          const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
          const seen = new Set(); for (let k = 0; k < d.length; k += 4) seen.add(d[k] << 16 |
          d[k + 1] << 8 | d[k + 2]); return seen.size; })()""")  # fmt: skip
        assert inks > 100


def test_a_line_and_its_kernels_light_up_together(browser, reports):
    show(browser, reports / "moons.html")
    with peace(browser):
        lit = "[...document.querySelectorAll('.linked.on')].map((e) => e.id)"
        assert ask(browser, lit) == []
        lines = browser.find_elements(By.CSS_SELECTOR, ".lines .linked[data-links*=kernel]")
        assert len(lines) > 8
        for line in lines[:4]:
            wanted = {line.get_attribute("id"), *line.get_attribute("data-links").split()}
            browser.execute_script("arguments[0].focus()", line)
            assert set(ask(browser, lit)) == wanted
        line.send_keys(Keys.ENTER)
        focused = ask(browser, "document.activeElement.id")
        assert focused == line.get_attribute("data-links").split()[0]
        kernel = browser.find_element(By.ID, focused)
        assert line.get_attribute("id") in kernel.get_attribute("data-links").split()
        browser.execute_script("arguments[0].blur()", kernel)
        assert ask(browser, lit) == []
        webdriver.ActionChains(browser).move_to_element(lines[0]).perform()
        assert lines[0].get_attribute("id") in ask(browser, lit)


def test_tab_reaches_everything(browser, reports):
    show(browser, reports / "moons.html")
    every = "[...document.querySelectorAll('.linked, #epoch, #play')].map((e) => e.id)"
    wanted, reached = set(ask(browser, every)), set()
    for _ in range(300):
        webdriver.ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.add(ask(browser, "document.activeElement.id"))
        if wanted <= reached:
            break
    assert wanted <= reached


@pytest.mark.parametrize("width", [1300, 500])
@pytest.mark.parametrize("model", ["moons", "digits"])
def test_nothing_runs_out_of_the_window(browser, reports, model, width):
    show(browser, reports / f"{model}.html", width=width)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide, window = ask(browser, "[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window


def test_print_opens_what_is_folded_and_leaves_the_controls_out(browser, reports):
    show(browser, reports / "moons.html")
    with peace(browser):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        hidden = "['#play', 'nav', '.hint'].map((q) => document.querySelector(q).offsetHeight)"
        assert ask(browser, hidden) == [0, 0, 0]
        unseen = """[...document.querySelectorAll("details > :not(summary)")].filter((e) =>
          e.getBoundingClientRect().height === 0).length"""
        assert ask(browser, unseen) == 0
        settings = {"printBackground": False, "preferCSSPageSize": True}
        printed = browser.execute_cdp_cmd("Page.printToPDF", settings)
        assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    folded = "document.querySelectorAll('details:not([open])').length"
    assert ask(browser, folded) > 0
