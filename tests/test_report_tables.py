"""Tables that were written before: of one instant, whole, and with numbers, or they are refused."""

from __future__ import annotations

import re
import shlex
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting, ColumnMissing, WrongType
from features.core.instants import DAY_US
from features.core.setting_changes import read_changes
from lifecycle.commands.report import Wish, make_page, page_command, tables_instant
from serving.report.lists import write_lists
from serving.report.picture import MOST_ROWS, CustomerList
from serving.report.source import Facts, Source
from serving.report.write import write_page
from serving.report.written_tables import FEWEST, WrittenTables, read_tables, with_withheld
from tests.support.command_line import run_here
from tests.support.page_numbers import FIGURE

FACTS = Facts("A shop", "2025-01-01", 60, False, 365, 60, "lifecycle report")
AS_OF = 1_735_689_600_000_000


@pytest.fixture(scope="module")
def value_folder(shop, tmp_path_factory):
    """The tables of the shop as `lifecycle value --out` writes them."""
    folder = tmp_path_factory.mktemp("value")
    done = run_here("value", "-c", shop[0] / "lifecycle.toml", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def draw(shop, value_folder, tmp_path):
    """Draw the tables of a folder that is the shop's but for one table, at as_of."""
    _, settings, history = shop

    def draw_changed(name: str | None = None, table: pa.Table | bytes | None = None, as_of=None):
        folder = tmp_path / "tables"
        folder.mkdir()
        for path in value_folder.iterdir():
            (folder / path.name).symlink_to(path)
        if name is not None:
            (folder / f"{name}.parquet").unlink()
            if isinstance(table, bytes):
                (folder / f"{name}.parquet").write_bytes(table)
            else:
                pq.write_table(table, folder / f"{name}.parquet")
        wish = Wish(tmp_path / "report.html", str, tables=folder)
        return make_page(history, {}, settings, as_of, wish)

    return draw_changed


def changed(path: Path, column: str, values) -> pa.Table:
    table = pq.read_table(path)
    return table.set_column(table.column_names.index(column), column, values(table[column]))


def test_tables_of_two_instants_are_no_page(draw, value_folder):
    later = changed(
        value_folder / "leaving.parquet",
        "as_of",
        lambda old: pa.array([at.as_py().replace(year=2001) for at in old], old.type),
    )
    with pytest.raises(BadSetting, match="2001"):
        draw("leaving", later)


def test_an_as_of_that_is_not_that_of_the_tables_is_refused(draw, value_folder, shop):
    at = tables_instant(read_tables(value_folder).tables, value_folder, shop[1].zone)
    with pytest.raises(BadSetting, match="one instant"):
        draw(as_of=at - DAY_US)


def test_the_as_of_of_the_tables_may_be_named(draw, value_folder, shop):
    at = tables_instant(read_tables(value_folder).tables, value_folder, shop[1].zone)
    assert draw(as_of=at).path.is_file()


BAD_TABLES = {
    "no number": lambda table: put(table, "n", pa.array(["x"] * len(table))),
    "not a number": lambda table: put(table, "share", pa.array([float("nan")] * len(table))),
    "infinite": lambda table: put(table, "share", pa.array([float("inf")] * len(table))),
    "no column": lambda table: table.drop_columns(["share"]),
}


def put(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_a_table_with_other_columns_or_no_numbers_is_named(draw, value_folder, kind):
    table = BAD_TABLES[kind](pq.read_table(value_folder / "stages_now.parquet"))
    with pytest.raises((ColumnMissing, WrongType), match="the table stages_now") as caught:
        draw("stages_now", table)
    assert "lifecycle value --out" in caught.value.fix


def test_a_file_that_is_not_whole_is_named(draw, value_folder):
    whole = (value_folder / "worth.parquet").read_bytes()
    with pytest.raises(WrongType, match=re.escape("worth.parquet")):
        draw("worth", whole[: len(whole) // 2])


@pytest.mark.parametrize("column", ["p_churn", "eligible", "customer_id"])
def test_lists_of_customers_with_columns_of_another_kind_are_refused(tmp_path, column):
    customers = {"customer_id": ["a"], "p_churn": [0.5], "eligible": [True]}
    customers[column] = ["a text"] if column != "customer_id" else [None]
    table = pa.table(customers)
    table = table.drop_columns(["customer_id"]) if column == "customer_id" else table
    pq.write_table(table, tmp_path / "customers.parquet")
    wanted = CustomerList("x", (), where="eligible AND p_churn + 1 > 0")
    with pytest.raises(WrongType, match="the table customers"):
        write_lists(tmp_path / "customers.parquet", [wanted], tmp_path)


def test_every_table_and_list_that_a_page_links_is_there(draw, value_folder, tmp_path):
    for path in value_folder.glob("*.csv"):
        path.unlink()  # somebody kept only the parquet files
    written = draw()
    links = re.findall(r'href="(report_files/[^"]+)"', written.path.read_text("utf-8"))
    assert links
    assert [link for link in links if not (tmp_path / link).is_file()] == []


def test_no_damage_is_a_traceback(shop, value_folder, tmp_path):
    (tmp_path / "stages_now.parquet").write_bytes(b"PAR1")
    done = run_here(
        *("report", "-c", shop[0] / "lifecycle.toml", "--tables", tmp_path),
        *("--out", tmp_path / "report.html"),
    )
    assert done.returncode not in (0, 1)
    assert "stages_now.parquet" in done.stderr
    assert "Traceback" not in done.stderr


def stages(*counts: int) -> pa.Table:
    size = len(counts)
    return pa.table(
        {
            "stage": [f"stage {place}" for place in range(size)],
            "n": list(counts),
            "share": [0.1] * size,
            "median_recency_days": [1.0] * size,
            "money_last_year": [1.0] * size,
            "missing": pa.nulls(size, pa.string()),
        }
    )


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        ((5, 30, 20), {0, 2}),  # a single small one: the next larger is not shown either
        ((5, 6, 20), {0, 1}),
        ((5, 0, 20, 20), {0, 2}),
        ((20, 30), set()),
        ((5,), {0}),
    ],
)
def test_no_small_part_follows_from_its_total(counts, hidden):
    rows = WrittenTables({"stages_now": stages(*counts)}).rows("stages_now")
    assert {row.number for row in rows if row.number_of("n") is None} == hidden


def test_groups_are_looked_at_one_by_one():
    leave = {"by": ["a", "a", "a", "b", "b"], "n": [FEWEST - 1, 40, 50, 60, 70]}
    table = pa.table({**leave, "missing": pa.nulls(5, pa.string())})
    rows = with_withheld(WrittenTables({"worth": table}).rows("worth"))
    assert [row.is_withheld for row in rows] == [False, True, False, False, False]


def test_a_long_table_is_cut_and_says_so(tmp_path):
    table = stages(*range(20, 20 + MOST_ROWS + 100))
    written = write_page(
        Source(WrittenTables({"stages_now": table}), FACTS), tmp_path / "report.html"
    )
    html = written.path.read_text(encoding="utf-8")
    numbers = [each for each in FIGURE.findall(html) if each[0] == "stages_now"]
    shown = {int(row) for _, row, column, *_ in numbers if column == "money_last_year"}
    assert max(shown) == MOST_ROWS - 1
    assert f"The first {MOST_ROWS} of {MOST_ROWS + 100} rows" in html
    assert pq.read_table(written.folder / "tables" / "stages_now.parquet").equals(table)


@pytest.mark.long
def test_the_command_of_the_small_print_makes_the_same_page(shop, tmp_path):
    config, as_of = shop[0] / "lifecycle.toml", "2024-01-15"
    first, again = tmp_path / "first.html", tmp_path / "again.html"
    options = ("-c", config, "--set", "business.name=It's another", "--as-of", as_of)
    done = run_here("report", *options, "--out", first)
    assert done.returncode == 0, done.stderr
    html = first.read_text(encoding="utf-8")
    command = unescape(re.search("made again by: (lifecycle report .*?)</li>", html)[1])
    words = shlex.split(command)
    assert words[:2] == ["lifecycle", "report"]
    assert run_here(*words[1:], "--out", again).returncode == 0
    assert again.read_text("utf-8").replace("again_files", "first_files") == html


def test_the_command_has_every_option_that_numbers_depend_on():
    changes = read_changes(["churn.horizon_days=30", 'stages.new="30"', "business.name=a b"])
    text = page_command(Path("my shop/x.toml"), changes, AS_OF, "UTC", "--tables", "it's")
    words = shlex.split(text)
    assert words[:4] == ["lifecycle", "report", "-c", "my shop/x.toml"]
    assert words[-2:] == ["--tables", "it's"]
    assert words[words.index("--as-of") + 1] == "2025-01-01"
    typed = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    assert read_changes(typed) == changes
