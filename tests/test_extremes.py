"""Input at the edge of what can be: each is refused by name or handled by a stated rule, and
counted either way.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.core import settings as settings_of
from features.core.instants import DAY_US, instant
from features.engine.additive_columns import build_columns
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.pairs import build_pairs
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables import history as histories
from features.tables.sources import connect

HEAD = "customer_id,occurred_at,amount\n"
TOML = (
    '[business]\nzone = "UTC"\n[features]\nwindows_days = [30]\n[files]\nt ='
    ' "t.csv"\n[tables]\ntransactions = "SELECT * FROM t"\n'
)


def loaded(folder, lines):
    (folder / "t.csv").write_text(HEAD + lines, encoding="utf-8")
    (folder / "lifecycle.toml").write_text(TOML)
    settings = settings_of.load_settings(folder / "lifecycle.toml")
    history, counts = histories.load_history(settings)
    return settings, history, counts["transactions"]


def rows_at(settings, history, at):
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    columns, base = (
        columns_for(history, definitions, settings),
        population_stats(known, definitions),
    )
    return (
        definitions,
        columns,
        base,
        build(known, population=base, definitions=definitions, columns=columns),
    )


# One id each of 64 kB: Latin, Chinese, Arabic with its marks, emoji with joiners, and digits beyond
# any integer.
IDS = [
    "a" * 65_536,
    "客户" * 11_000,
    "عميل\u0651" * 7_000,
    "👩\u200d🚀" * 6_000,
    "007" + "9" * 65_533,
]


@pytest.mark.slow
@pytest.mark.long
def test_ids_of_64_kb_in_any_script_come_out_as_they_went_in(tmp_path):
    settings, history, counts = loaded(
        tmp_path, "".join(f"{one},2024-01-0{k + 1},5\n" * 2 for k, one in enumerate(IDS))
    )
    assert (counts.kept, counts.rejected) == (5, {"exact_duplicate": 5})
    definitions, columns, base, rows = rows_at(settings, history, instant("2024-02-01", zone="UTC"))
    assert sorted(rows["customer_id"].to_pylist()) == sorted(IDS)
    assert rows["amount_all"].to_pylist() == [5.0] * 5
    asked = rows.select(["customer_id", "as_of"])
    pairs = build_pairs(
        history, asked, definitions=definitions, populations=[base], columns=columns
    )
    assert pairs.rows.to_pylist() == rows.to_pylist()


def test_ids_that_differ_by_a_composed_letter_or_a_zero_are_different_customers(tmp_path):
    twins = ["é", "e\u0301", "7", "07", "7.0", "٧", "Ⅶ", "a\u200bb", "ab"]
    settings, history, _ = loaded(tmp_path, "".join(f"{one},2024-01-01,5\n" for one in twins))
    *_, rows = rows_at(settings, history, instant("2024-02-01", zone="UTC"))
    assert sorted(rows["customer_id"].to_pylist()) == sorted(twins)


def test_what_is_no_event_of_the_past_is_rejected_by_name(tmp_path):
    lines = [
        "a,1969-12-31 23:59:59,1",
        "b,2200-01-01,1",
        "c,9999-12-31,1",
        "d,0001-01-01,1",
        "e,infinity,1",
        "f,2024-13-01,1",
        "g,2024-01-01,1e308",
        "h,2024-01-01,nan",
        "i,2024-01-01,inf",
        "j,2024-01-01,0.001",
        ",2024-01-01,1",
        "k,,1",
        "l,2024-01-01,",
        "m,2024-01-01,-5",
        "n,2024-01-01,0",
        "o,1970-01-01,1",
        "p,2199-12-31 23:59:59,1",
    ]
    settings, history, counts = loaded(tmp_path, "\n".join(lines))
    assert counts.read == 17 == counts.kept + sum(counts.rejected.values())
    assert counts.rejected == {
        "occurred_at_outside_1970_2200": 4,
        "occurred_at_not_an_instant": 2,
        "amount_not_money": 3,
        "amount_finer_than_minor_units": 1,
        "customer_id_missing": 1,
        "occurred_at_missing": 1,
        "amount_missing": 1,
    }
    *_, rows = rows_at(settings, history, instant("2024-02-01", zone="UTC"))
    # p lies ahead: kept, and not known. m is a refund by its sign, and no activity.
    assert rows["customer_id"].to_pylist() == ["n", "o"]


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """One customer with a million purchases, two a minute, beside one with a single one."""
    folder = tmp_path_factory.mktemp("million")
    settings, _, _ = loaded(folder, "a,2024-01-01,1\n")
    connection, count = connect(memory="2GB", threads=2), 1_000_000
    at = pa.array(np.concatenate([np.arange(count) * 30_000_000 + DAY_US, [5 * DAY_US]]))
    ids, amounts = (
        pa.array(["many"] * count + ["once"]),
        pa.array(np.r_[np.arange(count) % 1000, 7]),
    )
    nothing = {
        name: pa.nulls(count + 1, kind)
        for name, kind in (
            ("transaction_id", pa.string()),
            ("quantity", pa.float64()),
            ("category", pa.string()),
            ("discount", pa.int64()),
            ("channel", pa.string()),
            ("method", pa.string()),
        )
    }
    day = pc.cast(pc.divide(at, DAY_US), pa.int32())
    connection.register(
        "incoming",
        pa.table(
            {
                "customer_id": ids,
                "occurred_at": at,
                "amount": amounts,
                "recorded_at": at,
                "kind": pa.array(["purchase"] * (count + 1)),
                "local_day": day,
                "local_hour": pa.array(np.zeros(count + 1, np.int32)),
                **nothing,
            }
        ),
    )
    connection.execute(
        "CREATE TABLE transactions AS SELECT * FROM incoming ORDER BY customer_id, occurred_at"
    )
    return settings, histories.history_from_connection(connection, settings)


@pytest.mark.slow
@pytest.mark.long
def test_one_customer_with_a_million_events(million):
    settings, history = million
    at = 300 * DAY_US
    definitions, columns, base, rows = rows_at(settings, history, at)
    many = rows.to_pylist()[0]
    before = (at - DAY_US) // 30_000_000
    assert (many["customer_id"], many["purchases_all"]) == ("many", before)
    assert many["amount_all"] == sum(k % 1000 for k in range(before)) / 100
    assert many["active_days_30d"] == 30
    names = ["customer_id", "as_of", *(column.name for column in columns)]
    additive = [
        column
        for column in columns
        if column.name in ("purchases_all", "amount_30d", "amount_max", "recency")
    ]
    found = build_columns(history, definitions=definitions, populations=[base], columns=additive)
    assert (
        found.to_pylist()
        == rows.select([name for name in names if name in found.column_names]).to_pylist()
    )


def test_an_engine_without_an_event_yet_knows_nobody(million):
    settings, history = million
    *_, rows = rows_at(settings, history, DAY_US // 2)
    assert rows.num_rows == 0
