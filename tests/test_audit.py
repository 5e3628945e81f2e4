"""`lifecycle audit`: honest features pass it, every world is other than the real one, and nothing is left unsaid."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from features.audit import audit, leaks, perturbations, text
from features.audit.findings import LEAK
from features.audit.parity import WORLDS, compared
from features.audit.ranks import auroc, tells
from features.core import settings as settings_of
from features.core.contract import CONTRACT
from features.core.errors import NotEnoughData, Timeless
from features.tables import history as histories
from features.tables import require_timestamps
from features.tables.sources import connect
from tests.conftest import DATA, real

# Few columns, of every table: what the audit does does not depend on how many there are.
QUICK = (
    "recency",
    "rhythm",
    "trend",
    "engagement",
    "streaks",
    "value",
    "sessions",
    "channels",
    "breadth",
    "complaints",
    "past",
    "attributes",
    "monetary",
    "cover",
)


def quick(stated, *, off=QUICK):
    return stated.model_copy(
        update={"features": stated.features.model_copy(update={"off": list(off)})}
    )


@pytest.mark.parametrize("business", ["shop", "subscriptions"])
def test_the_whole_catalogue_passes_on_the_simulation(business, request):
    _, stated, found = request.getfixturevalue(business)
    said = audit(found, stated, dates=1, alone=1)
    assert said["differences"] == []
    assert [one for one in said["findings"] if one["severity"] == LEAK] == []
    assert said["passed"]
    assert {world["world"] for world in said["worlds"]} == {world.name for world in WORLDS} | {
        "threads",
        "one against all",
    }
    assert all(world["as_of"] == 1 and world["values"] > 100 for world in said["worlds"])


def test_the_account_names_no_customer_and_is_the_same_again(shop):
    _, stated, found = shop
    chosen = quick(stated)
    one, other = (audit(found, chosen, dates=1, alone=1, seed=3) for _ in range(2))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    told = text(one) + json.dumps(one)
    ids = found.connection.execute("SELECT DISTINCT customer_id FROM customers").fetchall()
    assert not [
        name for (name,) in ids if f"'{name}'" in told or f'"{name}"' in told or f" {name} " in told
    ]
    assert "passed" in text(one)
    assert one["customers"] == {"audited": 400, "of": 400, "alone_per_as_of": 1}


def test_of_many_customers_some_are_drawn_and_the_account_says_so(shop):
    _, stated, found = shop
    said = audit(found, quick(stated), dates=1, alone=1, most=150)
    assert said["passed"]
    assert said["customers"]["audited"] == 150
    assert "150 customers of 400 (drawn)" in text(said)


@pytest.fixture(scope="module", params=["shop", "subscriptions"])
def tables(request):
    _, _, found = request.getfixturevalue(request.param)
    return perturbations.tables_of(found), found.data_until - 200 * 86_400_000_000


MADE = {
    "truncated": perturbations.truncated,
    "scrambled": perturbations.scrambled,
    "at": perturbations.at_the_instant,
    "late": perturbations.late,
    "loaded": perturbations.loaded_otherwise,
    "shuffled": lambda tables, at: perturbations.shuffled(tables),
    "renamed": lambda tables, at: perturbations.renamed(tables)[0],
    "moved": lambda tables, at: perturbations.moved(tables, 133),
}


@pytest.mark.parametrize("name", MADE)
def test_every_world_is_another_world_of_the_same_shape(tables, name):
    real_one, at = tables
    other = MADE[name](real_one, at)
    assert any(not other[table].equals(real_one[table]) for table in real_one)
    assert {table: rows.schema.names for table, rows in other.items()} == {
        t: rows.schema.names for t, rows in real_one.items()
    }
    assert all(rows.schema.types == real_one[table].schema.types for table, rows in other.items())


def test_late_rows_and_rows_at_the_instant_are_not_known(tables):
    real_one, at = tables
    for other in (perturbations.late(real_one, at), perturbations.at_the_instant(real_one, at)):
        for name in set(real_one) - {"customers"}:
            extra = other[name].num_rows - real_one[name].num_rows
            assert extra > 50
            before = sum(moment < at for moment in real_one[name]["recorded_at"].to_pylist())
            assert sum(moment < at for moment in other[name]["recorded_at"].to_pylist()) == before


def test_comparison_is_bit_for_bit_and_names_the_first_row():
    one = pa.table({"customer_id": ["a", "b", "c"], "x": [1.0, None, 0.0], "y": ["p", "q", "r"]})
    assert list(compared(one, one)) == []
    other = pa.table({"customer_id": ["a", "b", "c"], "x": [1.0, 0.0, -0.0], "y": ["p", "q", "s"]})
    assert list(compared(one, other)) == [("x", 2, 1, "null", "0.0"), ("y", 1, 2, "r", "s")]
    assert [found[:2] for found in compared(one, other.slice(0, 2))] == [("(rows)", 1), ("x", 1)]


def test_auroc_is_the_share_of_pairs_in_order():
    import numpy as np

    y, score = np.array([True, False, True, False]), np.array([2.0, 1.0, 1.0, 0.0])
    assert auroc(y, score) == 3.5 / 4
    assert tells(y, -score) == 3.5 / 4
    assert tells(y, np.array([np.nan, 1.0, np.nan, 1.0])) == 1.0


def test_a_history_too_short_to_draw_dates_from_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text(
        "customer_id,occurred_at,amount\na,2024-01-02,1\nb,2024-01-03,1\n"
    )
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv"},
        "tables": {"transactions": "SELECT * FROM t"},
    }
    chosen = settings_of.from_mapping(stated, folder=tmp_path, where="test.toml")
    found, _ = histories.load(chosen)
    with pytest.raises(NotEnoughData, match="2 activities"):
        audit(found, chosen)


def test_with_duplicates_kept_only_rows_with_an_id_are_replayed_and_it_says_so(shop):
    _, stated, found = shop
    kept = quick(stated).model_copy(
        update={"contract": stated.contract.model_copy(update={"exact_duplicates": "keep"})}
    )
    said = audit(found, kept, dates=1, alone=1)
    assert said["differences"] == []
    assert [
        line
        for line in said["untested"]
        if line.startswith("replays of interactions without an id")
    ]


IRANIAN = {
    "Call  Failure": 8,
    "Complains": 0,
    "Subscription  Length": 38,
    "Seconds of Use": 4370,
    "Churn": 0,
}


@pytest.mark.parametrize("name", ["transactions", "interactions", "feedback", "contracts"])
def test_a_table_of_customers_without_instants_is_refused_with_the_reason(name):
    connection = connect(threads=1)
    rows = pa.table(
        {column: pa.array([value] * 5).cast(pa.string()) for column, value in IRANIAN.items()}
    )
    connection.register("_read", rows)
    with pytest.raises(Timeless) as caught:
        require_timestamps.refuse(connection, CONTRACT[name], dict.fromkeys(IRANIAN, "VARCHAR"))
    assert caught.value.exit_code == 3
    assert "nor whose row it is" in caught.value.got
    assert "as_of" in caught.value.rule
    assert "occurred_at" in caught.value.fix


def test_a_table_with_instants_under_another_name_is_not_called_timeless():
    connection = connect(threads=1)
    connection.register("_read", pa.table({"id": ["1"], "when": ["2024-01-02 10:00:00"]}))
    require_timestamps.refuse(
        connection, CONTRACT["transactions"], {"id": "VARCHAR", "when": "VARCHAR"}
    )
    require_timestamps.refuse(
        connection, CONTRACT["transactions"], {"id": "VARCHAR", "when": "DATE"}
    )
    require_timestamps.refuse(connection, CONTRACT["customers"], {"id": "VARCHAR"})


def test_iranian_churn_is_timeless():
    path = real("iranian_churn/iranian_churn.csv")
    connection = connect(threads=1)
    connection.execute(
        f"CREATE TABLE _read AS SELECT * FROM read_csv('{path}', all_varchar=true, header=true)"
    )
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE _read").fetchall()}
    with pytest.raises(Timeless, match="14 columns and no instant"):
        require_timestamps.refuse(connection, CONTRACT["transactions"], types)


def test_cdnow_passes_in_part():
    real("cdnow/cdnow_master.parquet")
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": f"{DATA}/cdnow/cdnow_master.parquet"},
        "tables": {
            "transactions": "SELECT customer_id, strptime(date, '%Y%m%d') AS occurred_at, dollar_value AS amount, 'purchase' AS kind FROM t"
        },
    }
    chosen = quick(settings_of.from_mapping(stated, folder=DATA, where="test.toml"))
    found, _ = histories.load(chosen)
    said = audit(found, chosen, dates=1, alone=1, most=2_000)
    assert said["passed"], text(said)
    assert leaks.TOO_GOOD == 0.95
