"""`lifecycle audit`: honest features pass it, every world is other than the real one, and nothing
is left unsaid.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from features.audit import audit, leaks, perturbations, report_text
from features.audit.findings import LEAK
from features.audit.parity import PERTURBATIONS, compare_tables
from features.audit.ranks import auroc, best_auroc
from features.core import settings as settings_of
from features.core.contract import CONTRACT
from features.core.errors import NotEnoughData, TimestampsMissing
from features.tables import history as histories
from features.tables import require_timestamps
from features.tables.sources import connect
from tests.support.businesses import with_features_off
from tests.support.checks import nonempty
from tests.support.public_data import DATA, public_file

# Where the promise does not depend on the columns, few are enough.
FEW = [
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
]


@pytest.mark.parametrize(
    "business",
    [
        # `whole_shop` has these columns too.
        pytest.param("shop", marks=[pytest.mark.slow, pytest.mark.long]),
        "subscriptions",
        pytest.param("whole_shop", marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param("whole_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_the_catalogue_passes_on_the_simulation(business, request):
    _, stated, found = request.getfixturevalue(business)
    said = audit(found, stated, dates=1, single_customers=1)
    assert said["differences"] == []
    assert [one for one in said["findings"] if one["severity"] == LEAK] == []
    assert said["passed"]
    assert {world["perturbation"] for world in said["perturbations"]} == {
        world.name for world in PERTURBATIONS
    } | {
        "threads",
        "single customers",
    }
    assert all(
        world["as_of"] == 1 and world["values"] > 30 for world in nonempty(said["perturbations"])
    )


@pytest.mark.long
@pytest.mark.slow
def test_the_account_names_no_customer_and_is_the_same_again(shop):
    _, stated, found = shop
    chosen = with_features_off(stated, FEW)
    one, other = (audit(found, chosen, dates=1, single_customers=1, seed=3) for _ in range(2))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    told = report_text(one) + json.dumps(one)
    ids = found.connection.execute("SELECT DISTINCT customer_id FROM customers").fetchall()
    assert not [
        name for (name,) in ids if f"'{name}'" in told or f'"{name}"' in told or f" {name} " in told
    ]
    assert "passed" in report_text(one)
    assert one["customers"] == {"audited": 400, "total": 400, "single_per_as_of": 1}


@pytest.mark.slow
@pytest.mark.long
def test_of_many_customers_some_are_drawn_and_the_account_says_so(shop):
    """With duplicates kept only rows with an id are replayed, and it says that too."""
    _, stated, found = shop
    kept = with_features_off(stated, FEW).model_copy(
        update={"contract": stated.contract.model_copy(update={"exact_duplicates": "keep"})}
    )
    said = audit(found, kept, dates=1, single_customers=1, max_customers=150)
    assert said["passed"]
    assert said["differences"] == []
    assert [
        line
        for line in said["untested"]
        if line.startswith("replays of interactions without an id")
    ]
    assert said["customers"]["audited"] == 150
    assert "150 customers of 400 (drawn)" in report_text(said)


@pytest.fixture(scope="module", params=["shop", "subscriptions"])
def tables(request):
    _, _, found = request.getfixturevalue(request.param)
    return perturbations.read_tables(found), found.data_until - 200 * 86_400_000_000


MADE = {
    "truncated": perturbations.truncate_history,
    "scrambled": perturbations.scramble_future,
    "at": perturbations.copy_to_instant,
    "late": perturbations.add_late_rows,
    "loaded": perturbations.change_load_times,
    "shuffled": lambda tables, at: perturbations.shuffle_rows(tables),
    "renamed": lambda tables, at: perturbations.rename_ids(tables)[0],
    "moved": lambda tables, at: perturbations.shift_dates(tables, 133),
}


@pytest.mark.parametrize("name", MADE)
def test_every_world_is_another_world_of_the_same_shape(tables, name):
    real_one, at = tables
    other = MADE[name](real_one, at)
    assert any(not other[table].equals(real_one[table]) for table in real_one)
    assert {table: rows.schema.names for table, rows in other.items()} == {
        t: rows.schema.names for t, rows in real_one.items()
    }
    assert all(
        rows.schema.types == real_one[table].schema.types for table, rows in nonempty(other.items())
    )


def test_late_rows_and_rows_at_the_instant_are_not_known(tables):
    real_one, at = tables
    for other in (
        perturbations.add_late_rows(real_one, at),
        perturbations.copy_to_instant(real_one, at),
    ):
        for name in set(real_one) - {"customers"}:
            extra = other[name].num_rows - real_one[name].num_rows
            assert extra > 50
            before = sum(moment < at for moment in real_one[name]["recorded_at"].to_pylist())
            assert sum(moment < at for moment in other[name]["recorded_at"].to_pylist()) == before


def test_comparison_is_bit_for_bit_and_names_the_first_row():
    one = pa.table({"customer_id": ["a", "b", "c"], "x": [1.0, None, 0.0], "y": ["p", "q", "r"]})
    assert list(compare_tables(one, one)) == []
    other = pa.table({"customer_id": ["a", "b", "c"], "x": [1.0, 0.0, -0.0], "y": ["p", "q", "s"]})
    assert list(compare_tables(one, other)) == [("x", 2, 1, "null", "0.0"), ("y", 1, 2, "r", "s")]
    assert [found[:2] for found in compare_tables(one, other.slice(0, 2))] == [
        ("(rows)", 1),
        ("x", 1),
    ]


def test_auroc_is_the_share_of_pairs_in_order():
    import numpy as np

    y, score = np.array([True, False, True, False]), np.array([2.0, 1.0, 1.0, 0.0])
    assert auroc(y, score) == 3.5 / 4
    assert best_auroc(y, -score) == 3.5 / 4
    assert best_auroc(y, np.array([np.nan, 1.0, np.nan, 1.0])) == 1.0


def test_a_history_too_short_to_draw_dates_from_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text(
        "customer_id,occurred_at,amount\na,2024-01-02,1\nb,2024-01-03,1\n"
    )
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv"},
        "tables": {"transactions": "SELECT * FROM t"},
    }
    chosen = settings_of.settings_from_mapping(stated, folder=tmp_path, where="test.toml")
    found, _ = histories.load_history(chosen)
    with pytest.raises(NotEnoughData, match="2 activities"):
        audit(found, chosen)


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
    with pytest.raises(TimestampsMissing) as caught:
        require_timestamps.check_timestamps(
            connection, CONTRACT[name], dict.fromkeys(IRANIAN, "VARCHAR")
        )
    assert caught.value.exit_code == 3
    assert "no customer_id" in caught.value.got
    assert "as_of" in caught.value.rule
    assert "occurred_at" in caught.value.fix


def test_a_table_with_instants_under_another_name_is_not_called_timeless():
    connection = connect(threads=1)
    connection.register("_read", pa.table({"id": ["1"], "when": ["2024-01-02 10:00:00"]}))
    require_timestamps.check_timestamps(
        connection, CONTRACT["transactions"], {"id": "VARCHAR", "when": "VARCHAR"}
    )
    require_timestamps.check_timestamps(
        connection, CONTRACT["transactions"], {"id": "VARCHAR", "when": "DATE"}
    )
    require_timestamps.check_timestamps(connection, CONTRACT["customers"], {"id": "VARCHAR"})


def test_iranian_churn_is_timeless():
    path = public_file("iranian_churn/iranian_churn.csv")
    connection = connect(threads=1)
    connection.execute(
        f"CREATE TABLE _read AS SELECT * FROM read_csv('{path}', all_varchar=true, header=true)"
    )
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE _read").fetchall()}
    with pytest.raises(TimestampsMissing, match="14 columns and no instant"):
        require_timestamps.check_timestamps(connection, CONTRACT["transactions"], types)


@pytest.mark.slow
def test_cdnow_passes_in_part():
    public_file("cdnow/cdnow_master.parquet")
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": f"{DATA}/cdnow/cdnow_master.parquet"},
        "tables": {
            "transactions": (
                "SELECT customer_id, strptime(date, '%Y%m%d') AS occurred_at, dollar_value AS"
                " amount, 'purchase' AS kind FROM t"
            )
        },
    }
    chosen = with_features_off(
        settings_of.settings_from_mapping(stated, folder=DATA, where="test.toml"), FEW
    )
    found, _ = histories.load_history(chosen)
    said = audit(found, chosen, dates=1, single_customers=1, max_customers=2_000)
    assert said["passed"], report_text(said)
    assert leaks.TOO_GOOD == 0.95
