"""Known exports: each is recognised by its columns, and becomes the rows that it holds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from lifecycle import cli
from lifecycle.init.formats.registry import FORMATS, recognise
from lifecycle.init.tables import open_engine, open_file
from tests.support.format_files import (
    EXAMPLES,
    HUBSPOT,
    OF_EACH_KIND,
    READ,
    SQUARE,
    STRIPE_CHARGES,
    TYPEFORM,
    Example,
    save,
    totals,
)
from tests.support.init_data import guessed

# Events of another file, where an export holds no events that count as activity.
VISITS = "customer_id,visited_at,event\n" + "".join(
    f"v{n % 5},2024-01-{1 + n % 28:02d} 10:00:00Z,visit\n" for n in range(40)
)


def recognised(folder: Path, text: str) -> str | None:
    """The name of the format of a file with this text."""
    connection, keywords = open_engine()
    path = save(folder, "any_file.csv", text)
    format_ = recognise(open_file(connection, path, taken=set(), keywords=keywords))
    return format_.name if format_ else None


def result_of(folder: Path, example: Example, text: str | None = None):
    """(guesses, history) of the example's file with a file of visits beside it."""
    files = [save(folder, "export.csv", text or example.text)]
    if "transactions" not in example.expected:
        files.append(save(folder, "visits.csv", VISITS))
    guesses, page, _, history, _ = guessed(folder, *files)
    return guesses, page, history


def changed(example: Example) -> str:
    """The same export with its columns reversed, in capitals, with a BOM and a further column."""
    columns = example.columns[::-1]
    lines = [",".join(f'"{name.upper()}"' for name in columns) + ",Colour of the day"]
    lines += [
        ",".join('"' + row[name].replace('"', '""') + '"' for name in columns) + ",blue"
        for row in example.rows()
    ]
    return "\ufeff" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("example", READ, ids=lambda example: example.format)
def test_an_export_becomes_the_rows_that_it_holds(tmp_path, example):
    guesses, _, history = result_of(tmp_path, example)
    assert {name: totals(history, name) for name in example.expected} == example.expected
    [table] = list(example.expected)
    assert f"export.csv has the columns of {example.format}" in guesses[f"tables.{table}"]["reason"]
    if example.people:
        who = history.connection.execute(
            f"SELECT DISTINCT customer_id FROM {table} WHERE customer_id NOT LIKE 'v_'"
        ).fetchall()
        assert {row[0] for row in who} == example.people


@pytest.mark.parametrize("example", OF_EACH_KIND, ids=lambda example: example.format)
def test_order_case_and_further_columns_change_nothing(tmp_path, example):
    _, _, history = result_of(tmp_path, example, changed(example))
    assert {name: totals(history, name) for name in example.expected} == example.expected


def test_typed_cells_are_read_like_text(tmp_path):
    # The same files as Parquet, as a warehouse has them: numbers, flags and instants with types.
    for example in (STRIPE_CHARGES, SQUARE, HUBSPOT, TYPEFORM):
        folder = tmp_path / example.format.replace(" ", "_")
        folder.mkdir()
        file = folder / "export.parquet"
        text = save(folder, "text.csv", example.text)
        duckdb.sql(f"COPY (SELECT * FROM read_csv('{text}')) TO '{file}'")
        files = [file]
        if "transactions" not in example.expected:
            files.append(save(folder, "visits.csv", VISITS))
        _, _, _, history, _ = guessed(folder, *files)
        assert {name: totals(history, name) for name in example.expected} == example.expected


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.format)
def test_no_format_takes_the_file_of_another(tmp_path, example):
    assert recognised(tmp_path, example.text) == example.format
    assert recognised(tmp_path, changed(example)) == example.format


def test_every_format_has_an_example_a_source_and_a_line_in_the_docs():
    assert {example.format for example in EXAMPLES} == {each.name for each in FORMATS}
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
    for each in FORMATS:
        assert "202" in each.source, each.name
        assert f"| {each.name} |" in page


@pytest.mark.parametrize(
    "header",
    [
        "customer_id,date,amount",
        "customer_id,event,time",
        "order_id,customer_id,order_date,amount,currency,status",
        "subscription_id,customer_id,plan,start_date,end_date,price",
        "ticket_id,customer_id,created_at,resolved_at,issue_type",
        "email,name,created_at,country",
    ],
)
def test_a_nameless_file_is_no_known_export(tmp_path, header):
    cells = ",".join("1" for _ in header.split(","))
    assert recognised(tmp_path, f"{header}\n{cells}\n") is None


def test_the_command_lists_the_formats_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(cli.app, ["init", "--formats"])
    as_json = json.loads(CliRunner().invoke(cli.app, ["init", "--formats", "--json"]).stdout)
    assert shown.exit_code == 0
    assert [row["format"] for row in as_json["formats"]] == [each.name for each in FORMATS]
    assert all(each.name in shown.stdout and each.export in shown.stdout for each in FORMATS)
    assert not list(tmp_path.glob("*.toml"))


def test_no_file_at_all_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli.app, ["init"]).exit_code != 0
    assert not list(tmp_path.glob("*.toml"))


def test_an_example_is_a_table_with_cells_of_every_column():
    for example in EXAMPLES:
        lines = list(csv.reader(example.text.splitlines()))
        assert {len(line) for line in lines} == {len(example.columns)}, example.format
