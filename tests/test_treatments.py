"""What campaigns did as a feature, behind a switch: by both clocks, and the same everywhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.core.contract import ALL_TABLES, CONTRACT
from features.core.errors import BadSetting
from features.core.instants import DAY_US
from features.core.settings import settings_from_mapping
from features.engine.build import build
from features.engine.business_columns import columns_for, feature_tables
from features.engine.columns import missing_features
from features.engine.many_dates import build_many
from features.engine.prepared import PreparedFeatures
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import FEATURES
from features.recipes.stages import STATE_COLUMNS
from features.tables.terms import TermRules
from serving.batch.known_rows import known_ids, run_id, sort_known_tables, table_columns
from tests.support import worlds
from tests.support.businesses import NARROW, with_features_off

OURS = ("treatments", "recency_treatment")
NAMES = ("treatments_60d", "treatments_all", "recency_treatment")
# What the customers of a test were treated with: days before as_of of (decision, contact), the arm.
CASES = {
    "treated": [(10, 10, "treated"), (100, 99, "treated")],
    "no arm": [(10, 9, None)],
    "held out": [(10, 10, "held_out")],
    "ahead": [(5, -3, "treated")],
    "known later": [(-1, 10, "treated")],
}
EXPECTED = {
    "treated": (1, 2, 10),
    "no arm": (1, 1, 9),
    "held out": (0, 0, None),
    "ahead": (0, 0, None),
    "known later": (0, 0, None),
}


def switched_on(settings):
    features = settings.features.model_copy(update={"treatments": True, "windows_days": [60]})
    return settings.model_copy(update={"features": features})


@pytest.fixture(scope="module")
def world(shop_with_trial):
    """(history, settings, as_of, customers by case): CASES, and random treatments of the others."""
    _, settings, history = shop_with_trial
    settings = switched_on(with_features_off(settings, sorted({*FEATURES} - NARROW - {*OURS})))
    at = history.data_until - 40 * DAY_US
    everybody = sorted(
        set(
            history.as_of(at)
            .activity.collect(backend="pyarrow")
            .to_native()["customer_id"]
            .to_pylist()
        )
    )
    customers = dict(zip(CASES, everybody, strict=False))
    rows = [
        (customers[case], at - round(known * DAY_US), at - round(there * DAY_US), arm)
        for case, treated in CASES.items()
        for known, there, arm in treated
    ]
    rng = np.random.default_rng(1)
    for each in rng.choice(everybody[len(CASES) :], 600):
        decided = at - int(rng.integers(-30, 200)) * DAY_US
        arm = ("treated", "held_out", None)[rng.integers(0, 3)]
        rows.append((str(each), decided, decided + int(rng.integers(-2, 9)) * DAY_US, arm))
    ids, recorded, occurred, arms = zip(*rows, strict=True)
    table = worlds.read_tables(history)["treatments"].slice(0, 0)
    columns = {
        name: pa.nulls(len(rows), table.schema.field(name).type) for name in table.column_names
    }
    columns |= {
        "customer_id": pa.array(ids),
        "recorded_at": pa.array(recorded, pa.int64()),
        "occurred_at": pa.array(occurred, pa.int64()),
        "campaign": pa.array(["spring"] * len(rows)),
        "arm": pa.array(arms, pa.string()),
    }
    tables = worlds.read_tables(history) | {"treatments": pa.table(columns, schema=table.schema)}
    return worlds.rebuild_history(history, tables), settings, at, customers


def rows_at(history, settings, at):
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    return build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=columns_for(history, definitions, settings),
    )


@pytest.fixture(scope="module")
def rows(world):
    history, settings, at, _ = world
    return rows_at(history, settings, at)


@pytest.mark.parametrize("case", CASES)
def test_a_treatment_counts_once_it_was_decided_and_happened_and_a_hold_out_never(
    world, rows, case
):
    customer = world[3][case]
    [row] = rows.filter(pc.equal(rows["customer_id"], customer)).select(NAMES).to_pylist()
    assert tuple(row.values()) == EXPECTED[case]


def test_what_is_known_later_and_the_order_of_rows_change_nothing(world, rows):
    history, settings, at, _ = world
    tables = worlds.read_tables(history)
    assert "treatments" in tables
    for other in (
        worlds.truncate_history(tables, at),
        worlds.scramble_future(tables, at),
        worlds.shuffle_rows(tables),
    ):
        assert rows_at(worlds.rebuild_history(history, other), settings, at).equals(rows)


def test_one_date_many_dates_and_a_request_give_the_same_bits(world, rows):
    history, settings, at, _ = world
    definitions = learn_definitions(history.as_of(at), settings)
    columns = columns_for(history, definitions, settings)
    dates = [at - 50 * DAY_US, at]
    bases = [population_stats(history.as_of(each), definitions) for each in dates]
    many = build_many(history, definitions=definitions, columns=columns, populations=bases)
    assert many[1].equals(rows)
    plan = PreparedFeatures(
        definitions=definitions,
        population=bases[1],
        columns=columns,
        tables=feature_tables(history, settings),
        activity_kinds=history.activity_kinds,
        terms=TermRules.from_settings(settings),
    )
    sent = {
        name: table.select(list(ALL_TABLES[name].names))
        for name, table in worlds.read_tables(history).items()
    }
    assert plan.build(sent, as_of=at).equals(rows)


def test_it_is_off_by_default_and_no_activity(world, rows):
    history, settings, at, _ = world
    off = settings.features.model_copy(update={"treatments": False})
    without = rows_at(history, settings.model_copy(update={"features": off}), at)
    assert not {*NAMES} & {*without.column_names}
    assert without.equals(rows.select(without.column_names))
    assert {*STATE_COLUMNS} <= {*without.column_names}
    assert "treatments" not in missing_features(tables=CONTRACT)


def test_the_switch_takes_the_table_and_changes_only_releases_that_have_it(world, tmp_path):
    _, settings, _, _ = world
    config = {"tables": {"transactions": "SELECT 1"}, "features": {"treatments": True}}
    with pytest.raises(BadSetting, match="treatments"):
        settings_from_mapping(config, folder=tmp_path, where="config")
    config["features"]["treatments"] = False
    assert (
        "treatments"
        not in settings_from_mapping(config, folder=tmp_path, where="config").definitions()[
            "features"
        ]
    )
    assert "treatments" in settings.definitions()["tables"]
    assert settings.definitions()["features"]["treatments"] is True


@pytest.mark.parametrize("business", ["trained_shop"], indirect=True)
def test_another_treatment_is_another_run_where_treatments_are_features(world, business):
    history, settings, at, customers = world
    tables = worlds.read_tables(history)
    mine = pc.equal(tables["treatments"]["customer_id"], customers["treated"])
    less = worlds.rebuild_history(
        history, tables | {"treatments": tables["treatments"].filter(pc.invert(mine))}
    )
    off = settings.features.model_copy(update={"treatments": False})
    for of, differs in ((settings, True), (settings.model_copy(update={"features": off}), False)):
        runs = set()
        for each in (history, less):
            known = each.as_of(at)
            rows = sort_known_tables(known, of)
            columns = {name: table_columns(table) for name, table in rows.items()}
            ids = table_columns(known_ids(known))
            runs.add(run_id(columns, ids, of, business.release, as_of=at, stale=False))
        assert (len(runs) == 2) == differs
