"""The page in a real browser: what is drawn is what the tables say, for everybody who reads it."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from lifecycle.commands.report import Wish, make_page
from serving.report.page import SECTIONS
from serving.report.written_tables import read_tables
from tests.support.browser import open_page
from tests.support.page_numbers import check_mark, check_texts, read_number

pytestmark = pytest.mark.slow
# The box of each mark in the units of its picture, as the browser has laid it out.
OPEN_SOME = (
    "[...document.querySelectorAll('details')].slice(0, 4).forEach(each => each.open = true)"
)
MEASURE = """
() => [...document.querySelectorAll('svg')].filter(svg => svg.getBoundingClientRect().width > 0)
  .map(svg => {
    const back = svg.getScreenCTM().inverse();
    const marks = [...svg.querySelectorAll('[data-axis]')].map(mark => {
      const box = mark.getBoundingClientRect();
      const from = new DOMPoint(box.left, box.top).matrixTransform(back);
      const to = new DOMPoint(box.right, box.bottom).matrixTransform(back);
      const stroke = mark.getBBox();
      return {attributes: Object.fromEntries([...mark.attributes].map(a => [a.name, a.value])),
        x: stroke.x, y: stroke.y, width: stroke.width, height: stroke.height,
        seen: [from.x, from.y, to.x - from.x, to.y - from.y],
        shown: getComputedStyle(mark).visibility === 'visible'};
    });
    return {axes: Object.fromEntries([...svg.attributes].map(a => [a.name, a.value])), marks};
  })
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory, trained_shop):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
        wish = Wish(tmp_path_factory.mktemp("page") / "report.html", str)
        page = make_page(
            trained_shop.history, {}, trained_shop.settings, trained_shop.run.as_of, wish
        )
    return page, read_tables(page.folder / "tables").tables


@pytest.fixture
def url(written):
    return written[0].path.as_uri()


def test_every_mark_that_the_browser_drew_is_where_its_number_belongs(browser, written, url):
    _, tables = written
    for language in ("", "#zh"):
        with open_page(browser, url + language) as page:
            drawn = page.evaluate(MEASURE)
        assert len(drawn) >= 15
        for picture in drawn:
            assert picture["marks"]
            for mark in picture["marks"]:
                assert mark["shown"]
                check_mark(picture["axes"], geometry(mark), tables)


def geometry(mark: dict) -> dict[str, str]:
    """The attributes of a mark with the place that the browser gave it."""
    measured = dict(mark["attributes"])
    for name in ("x", "y", "width", "height", "cx", "cy"):
        measured.pop(name, None)
    if "r" in measured:
        measured["cx"] = str(mark["x"] + mark["width"] / 2)
        measured["cy"] = str(mark["y"] + mark["height"] / 2)
    else:
        measured |= {name: str(mark[name]) for name in ("x", "y", "width", "height")}
    return measured


def test_a_link_changes_the_language_without_a_script(browser, url):
    with open_page(browser, url, java_script_enabled=False) as page:
        english, chinese = page.locator("#en"), page.locator("#zh")
        assert english.is_visible()
        assert not chinese.is_visible()
        page.locator("#en .languages a[href='#zh']").click()
        assert chinese.is_visible()
        assert not english.is_visible()
        page.locator("#zh .contents a").first.click()
        assert chinese.is_visible()
        page.locator("#zh .languages a[href='#en']").click()
        assert english.is_visible()


def test_without_scripts_all_numbers_are_there(browser, written, url):
    _, tables = written
    with open_page(browser, url, java_script_enabled=False) as page:
        html = page.content()
        assert check_texts(html, tables) > 500
        assert page.locator("#en main > section").count() == len(SECTIONS)
        picture = page.locator("#en figure").first
        picture.locator("summary").click()
        assert picture.locator("table").is_visible()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.long),
        pytest.param(390, "light", marks=pytest.mark.long),
    ],
)
def test_axe_has_nothing_serious_to_say(browser, url, width, scheme):
    for language in ("", "#zh"):
        with open_page(browser, url + language, width=width, color_scheme=scheme) as page:
            page.evaluate(OPEN_SOME)
            violations = Axe().run(page).response["violations"]
            serious = [each for each in violations if each["impact"] in ("serious", "critical")]
            texts = [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in serious]
            assert not texts
            # Nothing is wider than the window, on a telephone either.
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0


def test_everything_is_reached_by_the_keyboard(browser, url):
    with open_page(browser, url) as page:
        page.keyboard.press("Tab")
        for _ in range(3):
            page.keyboard.press("Tab")
        names = [page.evaluate("document.activeElement.tagName")]
        for _ in range(20):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.tagName"))
        assert {"A", "SUMMARY"} <= set(names)
        page.locator("#en figure summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("#en figure table").first.is_visible()


def test_it_prints_on_a4(browser, url, tmp_path):
    with open_page(browser, url) as page:
        page.emulate_media(media="print")
        # A table is printed where it is unfolded.
        assert page.locator("#en figure details[open] table").first.is_visible()
        assert not page.locator("#en figure details:not([open]) summary").first.is_visible()
        page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_list_is_a_download(browser, written, url):
    page_files, _ = written
    with open_page(browser, url, accept_downloads=True) as page:
        with page.expect_download() as download:
            page.locator("#en figure .list a[href$='/stages.csv']").click()
        expected = (page_files.folder / "lists" / "stages.csv").read_bytes()
        assert download.value.path().read_bytes() == expected


def test_numbers_are_read_as_they_are_written():
    assert read_number("fewer than ten") is None
    assert read_number("1,234.50 EUR")[0] == 1234.5
    assert read_number("-12.3%")[0] == pytest.approx(-0.123)
