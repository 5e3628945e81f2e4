"""What lies beside the page: lists that are safe to open, whole files, ids where wanted."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import docs.gallery as gallery
from features.core.errors import BadSetting, StoreFailed
from features.core.language import use_language
from lifecycle.commands.report import Wish, make_page
from serving.report.lists import write_lists
from serving.report.picture import CustomerList
from serving.report.source import Facts, Source
from serving.report.strip import strip
from serving.report.write import files_folder, write_page
from serving.report.written_tables import Row, WrittenTables
from tests.support.command_line import run_here

FACTS = Facts("A shop", "2025-01-01", 60, False, 365, 60, "lifecycle report")
FORMULAS = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("x";"y")'),
    *("＝1+1", "＋1", "－1", "＠SUM(A1)"),
)
of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)


def read_list(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_list_has_no_formula(text, tmp_path):
    customers = pa.table({"customer_id": [text, "b"], "segment": ["a", text], "p_churn": [-0.5, 1]})
    pq.write_table(customers, tmp_path / "customers.parquet")
    one = CustomerList("all", ("segment", "p_churn", "no_such_column"))
    assert write_lists(tmp_path / "customers.parquet", [one], tmp_path) == {"all": 2}
    rows = read_list(tmp_path / "all.csv")
    assert [set(row) for row in rows] == [{"customer_id", "segment", "p_churn"}] * 2
    assert {row["customer_id"] for row in rows} == {f"'{text}", "b"}
    assert {row["segment"] for row in rows} == {f"'{text}", "a"}
    # A number is no text, and stays one.
    assert "-0.5" in {row["p_churn"] for row in rows}


def test_a_list_leaves_nothing_else_behind(tmp_path):
    pq.write_table(pa.table({"customer_id": ["a", None]}), tmp_path / "customers.parquet")
    folder = tmp_path / "it's here"
    folder.mkdir()
    assert write_lists(tmp_path / "customers.parquet", [CustomerList("x", ())], folder) == {"x": 1}
    assert [path.name for path in folder.iterdir()] == ["x.csv"]


def test_what_is_there_stays_until_the_new_page_is_whole(tmp_path):
    folder = tmp_path / "pages"
    path = folder / "report.html"
    write_page(Source(WrittenTables({}), FACTS), path)
    before = path.read_bytes()
    (folder / "in_the_way").write_text("a file")
    with pytest.raises(StoreFailed):
        write_page(Source(WrittenTables({}), FACTS), folder / "in_the_way" / "report.html")
    write_page(Source(WrittenTables({}), FACTS), path)
    assert path.read_bytes() == before
    names = {each.name for each in folder.iterdir()}
    assert names == {"report.html", "report_files", "in_the_way"}


def test_the_folder_beside_is_named_like_the_page(tmp_path):
    path = tmp_path / "of # 100% 客户.html"
    tables = {
        "stages_now": pa.table(
            {
                "stage": ["loyal"],
                "n": [20],
                "share": [1.0],
                "median_recency_days": [1.0],
                "money_last_year": [1.0],
                "missing": pa.nulls(1, pa.string()),
            }
        )
    }
    written = write_page(Source(WrittenTables(tables), FACTS), path)
    assert written.folder == files_folder(path)
    html = path.read_text(encoding="utf-8")
    assert 'href="of%20%23%20100%25%20%E5%AE%A2%E6%88%B7_files/' in html


@of_the_shop
def test_ids_are_in_the_page_only_where_that_is_wanted(at_home, tmp_path):
    pages = {}
    for with_ids in (False, True):
        wish = Wish(tmp_path / f"{with_ids}.html", str, with_ids=with_ids)
        make_page(at_home.history, {}, at_home.settings, at_home.run.as_of, wish)
        pages[with_ids] = wish.out.read_text(encoding="utf-8")
    first = read_list(tmp_path / "True_files" / "lists" / "worth_keeping.csv")[0]["customer_id"]
    assert f">{first}</data>" in pages[True]
    assert first not in re.findall(r">([^<>]+)<", pages[False])


@of_the_shop
@pytest.mark.long
def test_the_language_of_the_terminal_changes_no_byte_of_the_page(at_home, tmp_path):
    for language in ("en", "zh"):
        with use_language(language):
            wish = Wish(tmp_path / language / "report.html", str)
            make_page(at_home.history, {}, at_home.settings, at_home.run.as_of, wish)
    pages = [(tmp_path / each / "report.html").read_bytes() for each in ("en", "zh")]
    assert pages[0] == pages[1]


@of_the_shop
def test_a_day_without_scores_has_a_page_that_says_what_to_type(at_home, tmp_path):
    day = at_home.run.as_of - 40 * 86_400_000_000
    wish = Wish(tmp_path / "report.html", str)
    make_page(at_home.history, {}, at_home.settings, day, wish)
    html = wish.out.read_text(encoding="utf-8")
    assert "there are none of this day: type lifecycle run" in html
    assert "run `lifecycle score --as-of" in html


@of_the_shop
@pytest.mark.long
def test_the_strip_says_how_old_a_page_is(at_home, tmp_path):
    for drawn_on, warns in (("2027-01-01", True), (None, False)):
        wish = Wish(tmp_path / "report.html", str, drawn_on=drawn_on)
        make_page(at_home.history, {}, at_home.settings, at_home.run.as_of, wish)
        html = wish.out.read_text(encoding="utf-8")
        assert ("days before it was drawn" in html) == warns


def test_a_model_that_a_simple_rule_equals_is_not_praised():
    known = {"release": "r", "status": "ok", "trained_until": "2024-12-01", "model_age_days": 31}
    for best, state in (("our model", "good"), ("recency", "warning")):
        facts = dataclasses.replace(FACTS, **known, recommended=best)
        model = strip(Source(WrittenTables({}), facts))[2]
        assert model.state == state
        assert ("recency" in model.text) == (best == "recency")


def test_few_of_many_are_hidden_and_what_a_row_is_about_is_not():
    row = Row("growth", 0, {"n": 500, "customers_lost": 3, "lost": 12.5, "new": 5.0, "days": 9})
    assert row.hides("lost")
    assert not row.hides("new")
    assert not Row("curves", 0, {"n": 3, "days": 60}).hides("days")
    assert Row("curves", 0, {"n": 3, "p": 0.5}).hides("p")


def test_a_folder_without_tables_is_refused(shop, tmp_path):
    _, settings, history = shop
    with pytest.raises(BadSetting, match="lifecycle value --out"):
        make_page(history, {}, settings, None, Wish(tmp_path / "r.html", str, tables=tmp_path))


def test_the_command_draws_and_says_where(shop, tmp_path):
    folder, _, _ = shop
    out = tmp_path / "page.html"
    done = run_here("report", "-c", folder / "lifecycle.toml", "--out", out, LIFECYCLE_LANG="zh")
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout
    assert (tmp_path / "page_files" / "tables" / "stages_now.csv").is_file()


def test_the_gallery_shows_pictures_that_are_there():
    text = (gallery.HERE / "gallery.md").read_text(encoding="utf-8")
    names = re.findall(r"\]\(gallery/([a-z0-9-]+\.svg)\)", text)
    assert len(names) >= 15
    assert sorted(names) == sorted(path.name for path in gallery.FOLDER.glob("*.svg"))
    for name in names:
        assert ET.parse(gallery.FOLDER / name).getroot().tag.endswith("svg")
