"""The page: every number is that of a table, missing things are said, nothing of a person leaks."""

from __future__ import annotations

import json
import re

import pandas as pd
import pyarrow as pa
import pytest

from features.core.language import LANGUAGES
from features.recipes.stages import STAGES
from lifecycle.commands.report import Wish, make_page
from serving.report.headers import HEADERS
from serving.report.page import SECTIONS, draw_page
from serving.report.source import Facts, Source
from serving.report.summary import summary_table
from serving.report.written_tables import FEWEST, WrittenTables, read_tables
from tests.support.page_numbers import FIGURE, check_picture, check_texts, pictures

of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)
FACTS = Facts("A shop", "2025-01-01", 60, False, 365, 60, "lifecycle report -c lifecycle.toml")


@pytest.fixture(scope="module")
def pages():
    """The page of each business by its folder: drawn once."""
    return {}


@pytest.fixture
def page(at_home, pages, tmp_path_factory):
    """(the HTML, the tables beside it, the folder)."""
    if at_home.folder not in pages:
        out = tmp_path_factory.mktemp("page") / "report.html"
        written = make_page(
            at_home.history, {}, at_home.settings, at_home.run.as_of, Wish(out, str)
        )
        tables = read_tables(written.folder / "tables").tables
        pages[at_home.folder] = (out.read_text(encoding="utf-8"), tables, written)
    return pages[at_home.folder]


def small_page(tables: dict[str, pa.Table], facts: Facts = FACTS) -> str:
    tables = {**tables, "page_summary": summary_table(WrittenTables(tables), as_of=0)}
    return draw_page(Source(WrittenTables(tables, "EUR"), facts), files=None).html


def test_every_number_of_the_text_is_that_of_its_cell(page):
    html, tables, _ = page
    assert check_texts(html, tables) > 500


def test_every_mark_of_every_picture_is_where_its_number_belongs(page):
    html, tables, _ = page
    drawn = pictures(html)
    assert len(drawn) >= 30
    assert all(check_picture(svg, tables) > 0 for svg in drawn)


def test_a_changed_cell_moves_its_mark_and_its_number(page):
    html, tables, _ = page
    for svg in pictures(html):
        mark = next(each for each in svg.iter() if "data-axis" in each.attrib)
        name, row, column = (mark.get(f"data-{each}") for each in ("table", "row", "column"))
        values = tables[name][column].to_pylist()
        largest = max(abs(value) for value in values if value is not None)
        values[int(row)] = values[int(row)] * 0.5 + largest * 0.37
        place = tables[name].column_names.index(column)
        changed = tables[name].set_column(place, column, pa.array(values, pa.float64()))
        with pytest.raises(AssertionError):
            check_picture(svg, {**tables, name: changed})


def test_all_questions_are_there_in_both_languages(page):
    html, _, _ = page
    for language in LANGUAGES:
        ids = re.findall(rf'<section id="{language}-([a-z-]+)"', html)
        assert len(ids) == len(SECTIONS)
    english, chinese = html.split('id="zh"')
    cells = [sorted(each[:3] for each in FIGURE.findall(html)) for html in (english, chinese)]
    assert cells[0] == cells[1]


def test_it_loads_nothing_and_runs_nothing(page):
    html, _, _ = page
    assert "<script" not in html
    assert not re.search(r"\son[a-z]+=", html)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
    assert "url(" not in html
    assert " style=" not in html


def test_it_is_one_small_file(page):
    html, _, _ = page
    assert len(html.encode()) < 1_500_000


def test_no_customer_is_named_in_it(page):
    html, _, written = page
    ids = set(pd.read_parquet(written.folder / "tables" / "rfm.parquet")["customer_id"])
    texts = set(re.findall(r">([^<>]+)<", html))
    assert not ids & {text.strip() for text in texts}


def test_lists_have_the_customers_behind_the_pictures(page):
    html, _, written = page
    customers = pd.read_parquet(written.folder / "tables" / "customers.parquet")
    customers = customers.dropna(subset=["customer_id"])
    linked = set(re.findall(r'href="report_files/lists/([a-z_]+)\.csv"', html))
    assert linked
    for name in linked:
        rows = pd.read_csv(written.folder / "lists" / f"{name}.csv", encoding="utf-8-sig")
        assert rows.columns[0] == "customer_id"
        assert len(rows) == written.customers[name]
    keep = (customers["eligible"].astype(bool) & customers["p_churn"].notna()).sum()
    assert written.customers["worth_keeping"] == keep
    assert written.customers["stages"] == len(customers)


def test_few_customers_are_not_counted():
    stages = pa.table(
        {
            "stage": list(STAGES),
            "n": [FEWEST - 1, FEWEST, 0, *[20] * 4],
            "share": [9 / 99, 10 / 99, 0.0, *[20 / 99] * 4],
            "median_recency_days": [1.0, 2.0, None, *[3.0] * 4],
            "money_last_year": [1.5, 2.5, 0.0, *[3.5] * 4],
            "missing": pa.nulls(7, pa.string()),
        }
    )
    html = small_page({"stages_now": stages})
    shown = {each[1:3] for each in FIGURE.findall(html) if each[0] == "stages_now"}
    assert ("0", "n") not in shown
    assert ("0", "share") not in shown
    assert ("0", "money_last_year") not in shown
    # The first would follow from the total, so the smallest of the others is not shown either.
    assert not {("1", "n"), ("1", "share"), ("1", "money_last_year")} & shown
    assert ("2", "n") in shown
    assert ("3", "n") in shown
    assert f"fewer than {FEWEST}" in html


def test_without_any_table_the_page_stands_and_says_what_is_missing():
    html = small_page({})
    assert html.count("<h2 id=") == 2 * (len(SECTIONS) + 1)
    assert html.count("Not shown, because it is missing:") >= 8


def test_every_column_that_is_shown_has_a_name(page):
    assert all(HEADERS.values())


HOSTILE = (
    "<script>alert(1)</script>",
    "</svg><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "{n} {0} %s",
    "=1+1|cmd",
    "שלום עולם",
    "👩‍👩‍👧‍👦 emoji",
    "x" * 200,
    "&amp; &lt;",
    "\u202eevil",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_label_of_the_business_stays_a_text(text):
    channels = pa.table(
        {
            "channel": [text, "all"],
            "age_days": [90, 90],
            "money_per_customer": [12.5, 13.5],
            "low": [11.0, 12.0],
            "high": [14.0, 15.0],
            "repeat_share": [0.5, 0.6],
            "n": [100, 200],
            "missing": pa.nulls(2, pa.string()),
        }
    )
    facts = Facts(text, "2025-01-01", 60, False, 365, 60, text)
    html = small_page({"channel_ages": channels}, facts)
    assert "<script>" not in html
    assert "<img" not in html
    assert "49" not in re.sub(r"\d{3,}|\.\d+|data-\S+", "", html) or "7 * 7" not in text
    for svg in pictures(html):
        assert svg.tag == "svg"


@of_the_shop
def test_the_page_of_written_tables_is_the_same(at_home, page, tmp_path):
    html, _, written = page
    wish = Wish(tmp_path / "report.html", str, tables=written.folder / "tables")
    again = make_page(at_home.history, {}, at_home.settings, None, wish)
    assert again.path.read_text(encoding="utf-8") == html
    assert again.customers == written.customers


def test_what_it_says_for_json(page):
    _, _, written = page
    value = json.loads(json.dumps(written.report()))
    assert value["page"].endswith("report.html")
    assert value["lists"]["stages"] > 0
