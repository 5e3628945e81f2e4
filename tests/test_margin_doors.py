"""The column of margins at every door: settings, files, Python, requests, `check` and `value`."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lifecycle as lc
from features.core.errors import BadSetting, ColumnMissing, Malformed
from features.core.settings import settings_from_mapping
from features.tables.history import load_history
from lifecycle.commands.check import build_report
from lifecycle.commands.check_text import report_text
from serving.api.request_events import read_events
from serving.api.schemas import ScoreRequest
from tests.support.indicator_worlds import day, rows_of, write_business

HEAD = "customer_id,occurred_at,amount,kind,margin\n"
ROWS = (
    *("a,2024-03-01,100,purchase,60", "a,2024-03-02,20,refund,10", "b,2024-04-01,10,purchase,1"),
    *("c,2024-04-02,30,purchase,", "b,2024-11-30,50,purchase,-5"),
)
TEXT = HEAD + "\n".join(ROWS) + "\n"
COLUMN = {"value": {"margin": "column", "service_costs": {"call": 2.0}}}


@pytest.mark.parametrize(
    ("sections", "got"),
    [
        ({"value": {"margin": "margins"}}, 'a share over 0 and up to 1, or "column"'),
        ({"value": {"margin": [0.4]}}, 'a share over 0 and up to 1, or "column"'),
        (
            {"business": {"archetype": "contractual"}, "tables": {"contracts": "SELECT 1"}},
            "money is the price of terms",
        ),
        (
            {"activity": {"table": "interactions"}, "tables": {"interactions": "SELECT 1"}},
            "no SELECT under",
        ),
    ],
)
def test_a_margin_that_cannot_be_is_refused_with_what_to_type(sections, got, tmp_path):
    tables = {"transactions": "SELECT 1"} if "activity" not in sections else {}
    tables |= sections.pop("tables", {})
    mapping = {"value": {"margin": "column"}, **sections, "tables": tables}
    with pytest.raises(BadSetting, match=got) as caught:
        settings_from_mapping(mapping, folder=tmp_path, where="lifecycle.toml")
    assert caught.value.fix


def test_without_the_column_the_error_says_what_to_select(tmp_path):
    without = "customer_id,occurred_at,amount\na,2024-03-01,100\n"
    with pytest.raises(ColumnMissing, match="no column margin; it has customer_id") as caught:
        write_business(tmp_path, {"transactions": without}, **COLUMN)
    assert "AS margin" in caught.value.fix
    assert "margin = 0.4" in caught.value.fix
    write_business(tmp_path, {"transactions": without}, value={"margin": 0.4})


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("forty", "margin_not_money"),
        ("NaN", "margin_not_money"),
        ("inf", "margin_not_money"),
        ("1.005", "margin_finer_than_minor_units"),
        ("1" + "0" * 30, "margin_out_of_range"),
    ],
)
def test_a_margin_is_read_as_strictly_as_an_amount(cell, reason, tmp_path):
    (tmp_path / "t.csv").write_text(TEXT + f"d,2024-05-01,9,purchase,{cell}\n")
    mapping = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv"},
        "tables": {"transactions": "SELECT * FROM t"},
    }
    config = settings_from_mapping(mapping, folder=tmp_path, where="test")
    history, counts = load_history(config)
    assert counts["transactions"].rejected == {reason: 1}
    margins = history.connection.sql("SELECT margin FROM transactions ORDER BY ALL").fetchall()
    assert margins == [(-500,), (100,), (1000,), (6000,), (None,)]


def report(folder, rows, **sections):
    folder.mkdir(exist_ok=True)
    config, _ = write_business(folder, {"transactions": HEAD + "\n".join(rows) + "\n"}, **sections)
    history, counts = load_history(config)
    return build_report(history, counts, config, now=day("2024-12-02"))


def test_check_says_how_many_purchases_have_a_margin_and_what_share_it_is(tmp_path):
    made = report(tmp_path / "plain", ROWS, **COLUMN)
    margins = made["tables"]["transactions"]["margins"]
    # 60 + 1 − 5 of 100 + 10 + 50; refunds are of purchases.
    assert margins == {"purchases": 4, "with_margin": 3, "share": 0.35}
    text = report_text(made)
    assert "3 of 4 purchases have a margin, in all 35.0 % of their amounts" in text
    names = {finding["name"] for finding in made["findings"]}
    assert not names & {"margins_above_amounts", "few_margins"}
    above = report(tmp_path / "above", [*ROWS, "a,2024-05-01,7,purchase,40"], **COLUMN)
    [finding] = [each for each in above["findings"] if each["name"] == "margins_above_amounts"]
    assert finding["counts"] == {"rows": 1, "margins": 4}
    gap = [*ROWS[:2], "c,2024-05-01,900,purchase,", *ROWS[2:]]
    few = report(tmp_path / "few", gap, **COLUMN)
    assert "few_margins" in {finding["name"] for finding in few["findings"]}
    # Who does not ask for margins is not told that some are missing.
    plain = report(tmp_path / "share", gap)
    assert "few_margins" not in {finding["name"] for finding in plain["findings"]}
    without = report(tmp_path / "none", [f"{row.rpartition(',')[0]}," for row in ROWS])
    assert without["tables"]["transactions"]["margins"]["share"] is None
    assert "0 of 4 purchases have a margin\n" in report_text(without)


def test_a_csv_a_parquet_file_and_python_agree(tmp_path):
    rows = list(csv.DictReader(io.StringIO(TEXT)))
    columns = {
        name: [float(row[name]) if row[name] else None for row in rows]
        if name in ("amount", "margin")
        else [row[name] for row in rows]
        for name in rows[0]
    }
    write_business(tmp_path, {"transactions": TEXT}, **COLUMN)
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    config = 'value.margin = "column"\nbusiness.zone = "UTC"\n'
    tables = []
    for file in ("transactions.csv", "t.parquet"):
        (tmp_path / "lifecycle.toml").write_text(
            f'{config}[files]\nt = "{file}"\n[tables]\ntransactions = "SELECT * FROM t"\n'
        )
        shop = lc.open(tmp_path / "lifecycle.toml")
        assert shop.check()["tables"]["transactions"]["margins"]["share"] == 0.35
        tables.append(shop.history.connection.table("transactions").to_arrow_table())
    assert tables[0].equals(tables[1])
    shared = lc.open(tmp_path / "lifecycle.toml", changes={"value.margin": 0.4})
    assert shared.settings.value.margin == 0.4


def test_a_request_brings_margins_like_other_money(tmp_path):
    config, _ = write_business(tmp_path, {"transactions": TEXT}, **COLUMN)

    def read(margin: object) -> list:
        row = {"occurred_at": "2024-03-01T00:00:00Z", "amount": 10.5, "margin": margin}
        body = {"customers": [{"customer_id": "a", "transactions": [row]}]}
        request = ScoreRequest.model_validate_json(json.dumps(body))
        events = read_events(request, config, as_of=day("2024-12-01"))
        return events.tables["transactions"]["margin"].to_pylist()

    assert read(4.25) == [425]
    assert read(-3) == [-300]
    assert read(None) == [None]
    with pytest.raises(Malformed, match="margin"):
        read(1.005)
    with pytest.raises(ValueError, match="margin"):
        read("4.25")


def test_what_is_left_of_money_in_the_tables_is_that_of_the_rows(tmp_path):
    calls = "customer_id,occurred_at,kind\na,2024-05-01,call\n"
    config, history = write_business(
        tmp_path, {"transactions": TEXT, "interactions": calls}, **COLUMN
    )
    as_of = day("2024-12-01")
    rows = rows_of(history, config, as_of, "serving_cost")["cost_to_serve"]
    everybody = rows[-1]
    # a: 60 − 10. b: 1 − 5. c: 30 × the share of the others, in whole cents.
    assert everybody["margin"] == pytest.approx(50 - 4 + 30 * 0.35)
    assert everybody["after_service"] == pytest.approx(50 - 4 + 30 * 0.35 - 2)
    # Tables of revenue are those of amounts.
    plain = config.model_copy(update={"value": config.value.model_copy(update={"margin": 1.0})})
    for name in ("serving_cost", "growth", "pyramid"):
        ours, theirs = (rows_of(history, each, as_of, name) for each in (config, plain))
        assert all(ours[each] == theirs[each] for each in ours if each != "cost_to_serve")
    none = TEXT.replace(",60\n", ",\n")
    config, history = write_business(
        tmp_path, {"transactions": none, "interactions": calls}, **COLUMN
    )
    [row] = rows_of(history, config, as_of, "serving_cost")["cost_to_serve"]
    assert "column margin of transactions" in row["missing"]


def test_margins_of_half_of_every_amount_are_a_share_of_one_half_in_the_tables(tmp_path):
    """Twelve customers of two channels, some leads, and what each customer cost."""
    people = [f"c{number}" for number in range(12)]
    bought = [
        f"{who},2023-0{month}-0{1 + number % 9},{2 * (number + month)},purchase,{number + month}"
        for number, who in enumerate(people)
        for month in (1, 2, 5)
    ]
    given_back = "c3,2023-06-01,4,refund,2"
    tables = {
        "transactions": HEAD + "\n".join([*bought, given_back]) + "\n",
        "customers": "customer_id,channel,acquisition_cost\n"
        + "".join(f"{who},{('web', 'shop')[who < 'c2']},9\n" for who in people),
        "leads": "lead_id,occurred_at,channel,customer_id\n"
        + "".join(f"l{who},2022-12-20,web,{who}\n" for who in people[:6])
        + "open,2024-06-01,web,\n",
    }
    config, history = write_business(tmp_path, tables, value={"margin": "column"})
    half = config.model_copy(update={"value": config.value.model_copy(update={"margin": 0.5})})
    for name in ("acquisition", "prospects"):
        ours, theirs = (rows_of(history, each, day("2024-07-01"), name) for each in (config, half))
        assert ours == theirs
    ages = rows_of(history, config, day("2024-07-01"), "acquisition")["channel_ages"]
    everybody = [row for row in ages if row["channel"] == "all" and row["age_days"] == 365]
    # 2 · (number + month) over twelve customers and three months, less 4; each cost 9.
    money = (2 * (3 * 66 + 12 * 8) - 4) / 12
    assert everybody[0]["money_per_customer"] == pytest.approx(money)
    assert everybody[0]["money_over_cost"] == pytest.approx(money / 2 / 9)
