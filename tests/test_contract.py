"""Bad input gets a clear error with its exit code, or a counted reject; read = kept + rejected
always.
"""

from __future__ import annotations

import pytest

from features.core import errors, settings
from features.core.instants import instant
from features.tables import history
from features.tables.sources import connect

SHOP = "customer_id,occurred_at,amount\n"


def load(folder, csv: str, *, select="SELECT * FROM t", extra=None, table="transactions"):
    (folder / "t.csv").write_text(csv, encoding="utf-8")
    stated = {
        "business": {"zone": "Europe/London"},
        "files": {"t": "t.csv"},
        "tables": {table: select},
    } | (extra or {})
    return history.load_history(
        settings.settings_from_mapping(stated, folder=folder, where="test.toml")
    )


def rows(found, table="transactions"):
    return found.connection.table(table).to_arrow_table().to_pylist()


def test_text_stays_text_and_money_exact(tmp_path):
    found, counts = load(
        tmp_path,
        SHOP + "00123,2024-01-02,10.75\n99999999999999999999999,2024-01-03"
        " 12:00,-0.10\n客户,2024-01-03T12:00:00+05:00,1x0\n"
        "e,2024-01-04,1.05E+03\n",
    )
    assert [row["customer_id"] for row in rows(found)] == [
        "00123",
        "99999999999999999999999",
        "e",
    ]
    assert [row["amount"] for row in rows(found)] == [1075, -10, 105_000]
    assert [row["kind"] for row in rows(found)] == ["purchase", "refund", "purchase"]
    assert counts["transactions"].rejected == {"amount_not_money": 1}


BROKEN = {
    "customer_id_missing": ",2024-01-02,1",
    "occurred_at_missing": "a,,1",
    "amount_missing": "a,2024-01-02,",
    "occurred_at_not_an_instant": "a,yesterday,1",
    "occurred_at_outside_1970_2200": "a,1969-12-31,1",
    "amount_not_money": "a,2024-01-02,ten",
    "amount_finer_than_minor_units": "a,2024-01-02,1.005",
    "amount_out_of_range": "a,2024-01-02,1" + "0" * 30,
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_row_that_breaks_a_rule_is_rejected_by_name_and_counted(tmp_path, reason):
    found, counts = load(tmp_path, SHOP + "good,2024-01-02,1\n" + BROKEN[reason] + "\n")
    account = counts["transactions"]
    assert account.rejected == {reason: 1}
    assert account.read == account.kept + sum(account.rejected.values()) == 2
    kept = found.connection.execute("SELECT table_name, source_row, reason FROM rejects").fetchall()
    assert kept == [("transactions", 2, reason)]


@pytest.mark.parametrize("number", ["1e13", "-1e300", "1e400", "NaN"])
def test_a_number_no_feature_can_count_is_rejected(tmp_path, number):
    rows = (
        "customer_id,occurred_at,amount,quantity\n"
        "good,2024-01-02,1,1e12\n"
        f"a,2024-01-02,1,{number}\n"
    )
    _, counts = load(tmp_path, rows)
    [(reason, count)] = counts["transactions"].rejected.items()
    assert (reason, count) == (
        "quantity_out_of_range" if float(number) - float(number) == 0 else "quantity_not_a_number",
        1,
    )


@pytest.mark.parametrize(
    "text", ["infinity", "epoch", "2024-13-01", "2024-02-30", "20240101", "now", "2024-01-01 25:00"]
)
def test_words_and_impossible_days_are_not_instants(tmp_path, text):
    _, counts = load(tmp_path, SHOP + f"good,2024-01-02,1\nbad,{text},1\n")
    assert counts["transactions"].rejected == {"occurred_at_not_an_instant": 1}


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e308"])
def test_floats_that_are_no_money(tmp_path, value):
    select = (
        f"SELECT customer_id, occurred_at, CASE WHEN customer_id = 'b' THEN CAST('{value}' AS"
        " DOUBLE) ELSE 2.5 END AS amount FROM t"
    )
    found, counts = load(tmp_path, SHOP + "a,2024-01-02,1\nb,2024-01-02,1\n", select=select)
    assert sum(counts["transactions"].rejected.values()) == 1
    assert [row["amount"] for row in rows(found)] == [250]


def test_zones_offsets_and_clock_changes(tmp_path):
    times = [
        "2024-01-02",
        "2024-07-02 00:30",
        "2024-07-02T00:30:00+00:00",
        "2024-03-31 01:30",
        "2024-10-27 01:30",
    ]
    found, _ = load(tmp_path, SHOP + "".join(f"c{k},{at},1\n" for k, at in enumerate(times)))
    read = {
        row["customer_id"]: (row["occurred_at"] // 60_000_000 % 1440, row["local_day"])
        for row in rows(found)
    }
    assert read["c0"][0] == 0
    assert (
        read["c1"][0] == 23 * 60 + 30
    )  # British summer time: half past midnight is the day before in UTC …
    assert (
        read["c1"][1] == read["c2"][1]
    )  # … and the same local day as 00:30 UTC, which is 01:30 there
    assert read["c3"][0] in (
        30,
        90,
    )  # a time that the clock change skipped is read, by the stated rule
    assert read["c4"][0] in (30, 90)


def test_equal_rows_count_once_and_versions_are_versions(tmp_path):
    head = "customer_id,occurred_at,amount,transaction_id,recorded_at,kind\n"
    twice = "a,2024-01-02,1,x,2024-01-02,purchase\n" * 2
    csv = (
        head + twice + "a,2024-01-02,5,x,2024-01-09,purchase\n"
        "a,2024-01-02,1,y,2024-01-02,purchase\n"
        "a,2024-01-02,1,y,2024-01-05,void\n"
    )
    found, counts = load(tmp_path, csv)
    assert counts["transactions"].rejected == {"exact_duplicate": 1}
    at = lambda day: instant(day, zone="Europe/London")  # noqa: E731

    def known(day):
        return (
            found.as_of(at(day))
            .tables["transactions"]
            .collect(backend="pyarrow")
            .to_native()
            .to_pylist()
        )

    assert sorted(row["amount"] for row in known("2024-01-03")) == [100, 100]
    assert [row["amount"] for row in known("2024-01-06")] == [100]  # y was withdrawn
    assert [row["amount"] for row in known("2024-01-10")] == [500]  # x was corrected


def test_a_correction_that_moves_an_event_past_as_of_takes_the_old_one_with_it(tmp_path):
    csv = (
        "customer_id,occurred_at,amount,transaction_id,recorded_at\n"
        "a,2024-01-02,1,x,2024-01-02\na,2024-03-02,1,x,2024-01-05\na,2024-01-01,1,w,2024-01-01\n"
    )
    found, _ = load(tmp_path, csv)
    rows = (
        found.as_of(instant("2024-02-01", zone="Europe/London"))
        .tables["transactions"]
        .collect(backend="pyarrow")
        .to_native()
    )
    assert rows["transaction_id"].to_pylist() == ["w"]


REFUSED = [
    (
        errors.ColumnMissing,
        "no column amount",
        {"csv": "customer_id,occurred_at,total\na,2024-01-01,1\n"},
    ),
    (
        errors.ColumnMissing,
        "does not have",
        {"csv": "customer_id,occurred_at,amount,recorded_att\na,2024-01-01,1,2024-01-01\n"},
    ),
    (
        errors.WrongType,
        "type BOOLEAN",
        {"select": "SELECT customer_id, occurred_at, true AS amount FROM t"},
    ),
    (
        errors.WrongType,
        "type DOUBLE",
        {"select": "SELECT 1.5::DOUBLE AS customer_id, occurred_at, amount FROM t"},
    ),
    (errors.EmptyTable, "0 rows", {"csv": SHOP}),
    (errors.EmptyTable, "all rejected", {"csv": SHOP + "a,never,1\n"}),
    (errors.QueryFailed, "nope", {"select": "SELECT nope FROM t"}),
    (errors.QueryFailed, "Parser", {"select": "SELEC * FROM t"}),
    (errors.SelectRefused, "reads a file directly", {"select": "SELECT * FROM read_csv('t.csv')"}),
    (errors.SelectRefused, "reads a file directly", {"select": "SELECT * FROM 't.csv'"}),
    (errors.SelectRefused, "2 statements", {"select": "SELECT 1; SELECT 2"}),
    (errors.SelectRefused, "not a SELECT", {"select": "DROP TABLE t"}),
    (errors.NaiveTime, "without a zone", {"extra": {"business": {}}}),
    (errors.FileMissing, "no file at", {"extra": {"files": {"t": "absent.csv"}}}),
    (
        errors.ContradictoryVersions,
        "differ elsewhere",
        {
            "csv": (
                "customer_id,occurred_at,amount,transaction_id\na,2024-01-01,1,x\na,2024-01-01,2,x\n"
            )
        },
    ),
]


@pytest.mark.parametrize(
    ("leaf", "said", "how"),
    REFUSED,
    ids=[f"{leaf.__name__}-{k}" for k, (leaf, _, _) in enumerate(REFUSED)],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, leaf, said, how):
    how = {"csv": SHOP + "a,2024-01-02 10:00,1\n"} | how
    with pytest.raises(leaf, match=said) as caught:
        load(tmp_path, how.pop("csv"), **how)
    assert caught.value.exit_code in (2, 3)
    assert caught.value.rule
    assert caught.value.fix


def test_a_select_reaches_no_other_file_even_where_the_words_do_not_show_it(tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(errors.LifecycleError):
        load(
            tmp_path, SHOP + "a,2024-01-01,1\n", select=f'SELECT * FROM "{tmp_path / "secret.csv"}"'
        )


@pytest.mark.parametrize("name", ["transactions", "customers", "raw", "parsed", "rejects"])
def test_a_file_may_be_called_like_any_of_our_tables(tmp_path, name):
    (tmp_path / "t.csv").write_text(SHOP + "a,2024-01-01,1\n")
    (tmp_path / "c.csv").write_text("customer_id\na\nb\n")
    stated = {
        "business": {"zone": "UTC"},
        "files": {name: "t.csv", "other": "c.csv"},
        "tables": {"customers": "SELECT * FROM other", "transactions": f"SELECT * FROM {name}"},
    }
    _, counts = history.load_history(
        settings.settings_from_mapping(stated, folder=tmp_path, where="test.toml")
    )
    assert (counts["transactions"].kept, counts["customers"].kept) == (1, 2)


def test_customers_that_stand_twice_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text(SHOP + "a,2024-01-01,1\n")
    (tmp_path / "c.csv").write_text("customer_id,region\na,x\na,y\n")
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv", "c": "c.csv"},
        "tables": {"transactions": "SELECT * FROM t", "customers": "SELECT * FROM c"},
    }
    with pytest.raises(errors.DuplicateCustomers, match="more than one row"):
        history.load_history(
            settings.settings_from_mapping(stated, folder=tmp_path, where="test.toml")
        )


def test_cells_hide_until_they_were_known(tmp_path):
    csv = (
        "customer_id,occurred_at,kind,score,answered_at,resolved_at\n"
        "a,2024-01-02,csat,4,2024-01-10,\n"
        "a,2024-01-03,complaint,,,2024-02-01\n"
    )
    (tmp_path / "f.csv").write_text(csv)
    (tmp_path / "t.csv").write_text(SHOP + "a,2024-01-01,1\n")
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv", "f": "f.csv"},
        "tables": {"transactions": "SELECT * FROM t", "feedback": "SELECT * FROM f"},
    }
    found, _ = history.load_history(
        settings.settings_from_mapping(stated, folder=tmp_path, where="test.toml")
    )

    def seen(day):
        known = found.as_of(instant(day, zone="UTC")).tables["feedback"].sort("occurred_at")
        return [
            (row["score"], row["answered_at"] is not None, row["resolved_at"] is not None)
            for row in known.collect(backend="pyarrow").to_native().to_pylist()
        ]

    assert seen("2024-01-10") == [(None, False, False), (None, False, False)]
    assert seen("2024-01-11") == [(4.0, True, False), (None, False, False)]
    assert seen("2024-02-02") == [(4.0, True, False), (None, False, True)]


def test_scores_off_their_scale_and_answers_before_sending_are_counted(tmp_path):
    csv = (
        "customer_id,occurred_at,kind,score,answered_at\n"
        "a,2024-01-02,csat,4,2024-01-10\n"
        "a,2024-01-02,csat,9,2024-01-10\n"
        "a,2024-01-02,nps,9,2024-01-01\n"
        "a,2024-01-02,poem,1,2024-01-03\n"
    )
    (tmp_path / "f.csv").write_text(csv)
    (tmp_path / "t.csv").write_text(SHOP + "a,2024-01-01,1\n")
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv", "f": "f.csv"},
        "tables": {"transactions": "SELECT * FROM t", "feedback": "SELECT * FROM f"},
    }
    _, counts = history.load_history(
        settings.settings_from_mapping(stated, folder=tmp_path, where="test.toml")
    )
    assert counts["feedback"].rejected == {
        "answered_before_sent": 1,
        "kind_unknown": 1,
        "score_off_its_scale": 1,
    }


def test_the_engine_prints_no_progress_between_our_lines():
    shown = (
        connect(memory="1GB", threads=1)
        .execute("SELECT current_setting('enable_progress_bar')")
        .fetchone()
    )
    assert shown == (False,)


def test_selects_of_every_shape_may_follow_each_other(tmp_path):
    """Rows of a file one by one, a join, a condition that asks another file, an instant."""
    (tmp_path / "t.csv").write_text(SHOP + "a,2024-01-01,1\nb,2024-01-02,2\nx,2024-01-03,3\n")
    (tmp_path / "p.csv").write_text("customer_id,seconds\na,1704067200\nb,1704153600\n")
    found, counts = history.load_history(
        settings.settings_from_mapping(
            {
                "business": {"zone": "UTC"},
                "files": {"t": "t.csv", "p": "p.csv"},
                "tables": {
                    "customers": "SELECT customer_id, to_timestamp(seconds::BIGINT) AS acquired_at "
                    "FROM p",
                    "transactions": "SELECT * FROM t "
                    "WHERE (customer_id IN (SELECT customer_id FROM p)) IS TRUE",
                    "interactions": "SELECT t.customer_id, occurred_at, 'visit' AS kind FROM t "
                    "JOIN p USING (customer_id)",
                    "feedback": "SELECT customer_id, occurred_at, 'complaint' AS kind FROM t",
                },
            },
            folder=tmp_path,
            where="test.toml",
        )
    )
    kept = {name: count.kept for name, count in counts.items()}
    assert kept == {"customers": 2, "transactions": 2, "interactions": 2, "feedback": 3}
    starts = found.table("customers").collect(backend="pyarrow").to_native()["acquired_at"]
    assert starts.to_pylist() == [1_704_067_200_000_000, 1_704_153_600_000_000]
