"""`why`: the rows that are shown are the rows behind the value, for every column; whatever cannot
be answered is said.
"""

from __future__ import annotations

import json
import math
from statistics import median

import pyarrow as pa
import pytest

from features.core import errors
from features.core.instants import DAY_US, instant
from features.engine.build import (
    build,
    current_state,
    evaluate_formulas,
    needed_reductions,
    restrict_to_customers,
)
from features.engine.business_columns import columns_for
from features.engine.explain import CustomerCase, contributing_rows, explain_value, report_text
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import Now
from tests.support import worlds
from tests.support.checks import nonempty

AS_OF = "2023-10-05"


@pytest.fixture(
    scope="module",
    params=[
        # `whole_shop` has these columns too.
        pytest.param("shop", marks=[pytest.mark.slow, pytest.mark.long]),
        "subscriptions",
        pytest.param("whole_shop", marks=pytest.mark.slow),
        pytest.param("whole_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def world(request):
    """(history, settings, as_of, definitions, base, columns, rows) with constants declared."""
    _, settings, found = request.getfixturevalue(request.param)
    contract = settings.contract.model_copy(update={"constant_attributes": ["channel"]})
    settings = settings.model_copy(update={"contract": contract})
    at = instant(AS_OF, zone=settings.zone)
    known = found.as_of(at)
    definitions = learn_definitions(known, settings)
    base, columns = population_stats(known, definitions), columns_for(found, definitions, settings)
    return (
        found,
        settings,
        at,
        definitions,
        base,
        columns,
        build(known, population=base, definitions=definitions, columns=columns),
    )


def again(one, rows, at):
    """The reduction once more, in plain Python, over nothing but these rows."""
    if one.how == "count":
        return len(rows)
    values = [row[one.value] for row in rows]
    if one.how == "decay":
        weights = [
            math.floor(
                0.5 ** ((at - row["occurred_at"]) / (one.half_life_days * DAY_US)) * 2**30 + 0.5
            )
            for row in rows
        ]
        return sum(
            w * (1 if one.value == "occurred_at" else int(v))
            for w, v in zip(weights, values, strict=True)
        )
    if one.how in ("sum", "distinct"):
        return sum(map(int, values)) if one.how == "sum" else len(set(values))
    return {"min": min, "max": max, "median": median}[one.how](values) if values else None


@pytest.mark.slow
@pytest.mark.long
def test_every_column_comes_out_again_from_the_shown_rows_alone(world):
    found, settings, at, definitions, base, columns, rows = world
    ids = rows["customer_id"].to_pylist()
    busiest = rows["n"].to_pylist().index(max(rows["n"].to_pylist()))
    for place in (busiest, 0, len(ids) // 3, len(ids) - 1):
        known, now = (
            restrict_to_customers(found.as_of(at), [ids[place]]),
            Now(at, definitions, base),
        )
        case = CustomerCase(known, now, settings.zone)
        behind = contributing_rows(case, needed_reductions(columns))
        values = {one.key: again(one, behind[one.key], at) for one in needed_reductions(columns)}
        table = pa.table(
            {
                "customer_id": [ids[place]],
                **{key: pa.array([v], _type(v)) for key, v in values.items()},
            }
        )
        joined = current_state(known, definitions).join(
            _framed(found, table), on="customer_id", how="left"
        )
        made = (
            evaluate_formulas(joined, now, columns)
            .collect(backend="pyarrow")
            .to_native()
            .to_pylist()[0]
        )
        wanted = rows.slice(place, 1).to_pylist()[0]
        differ = {
            name: (made[name], wanted[name])
            for name in wanted
            if not _same(made[name], wanted[name])
        }
        assert not differ


def _type(value):
    return (
        pa.float64()
        if isinstance(value, float) or (isinstance(value, int) and abs(value) > 2**62)
        else pa.int64()
    )


def _framed(found, table):
    import narwhals as nw

    return nw.from_native(found.connection.from_arrow(table))


def _same(one, other):
    if isinstance(other, float) and one is not None:
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
    return one == other


@pytest.mark.parametrize("world", ["whole_shop"], indirect=True)
def test_it_tells_value_rows_formula_and_what_everybody_gives(world):
    found, settings, at, *_, rows = world
    who = rows["customer_id"][5].as_py()
    for name in (
        "amount_percentile",
        "purchases_90d",
        "channel_is_search",
        "gap_median",
        "purchases_ewm_1x_gap",
    ):
        assert name in rows.column_names
        told = explain_value(found, settings, customer=who, as_of=at, column=name)
        assert told["value"] == rows[name][5].as_py()
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        said = report_text(told)
        assert f"{name} of customer {who} at {AS_OF}" in said
        assert "Formula:" in said
    told = explain_value(found, settings, customer=who, as_of=at, column="amount_percentile")
    assert len(told["population"]["amount_quantiles"]) == 19
    assert told["definitions"] == {"minor_units": 100}
    [total] = told["reductions"]
    assert total["value"] == sum(row["value"] for row in total["rows"])
    assert all(row["kind"] == "purchase" for row in nonempty(total["rows"]))
    assert [row["occurred_at"] for row in total["rows"]] == sorted(
        (row["occurred_at"] for row in total["rows"]), reverse=True
    )


@pytest.mark.parametrize("world", ["whole_shop"], indirect=True)
def test_a_row_that_is_not_shown_changes_nothing_and_one_that_is_does(world):
    found, settings, at, _, _, _, rows = world
    who = rows["customer_id"][5].as_py()
    told = explain_value(found, settings, customer=who, as_of=at, column="amount_max")
    shown = {row["transaction_id"] for one in told["reductions"] for row in one["rows"]}
    tables = worlds.read_tables(found)
    every = tables["transactions"].to_pylist()

    def without(gone):
        kept = pa.Table.from_pylist(
            [row for row in every if row["transaction_id"] not in gone],
            schema=tables["transactions"].schema,
        )
        other = worlds.rebuild_history(found, tables | {"transactions": kept})
        return explain_value(other, settings, customer=who, as_of=at, column="amount_max")["value"]

    mine = {row["transaction_id"] for row in every if row["customer_id"] == who}
    assert (
        without(
            {
                row["transaction_id"]
                for row in every
                if row["customer_id"] == who and row["kind"] != "purchase"
            }
        )
        == told["value"]
    )
    best = max(
        (row for one in told["reductions"] for row in one["rows"]), key=lambda row: row["value"]
    )
    assert without({best["transaction_id"]}) < told["value"]
    assert shown < mine


@pytest.mark.parametrize("world", ["whole_shop"], indirect=True)
def test_fifty_rows_and_the_count_of_the_rest(world):
    found, settings, at, *_, rows = world
    place = rows["interactions_all"].to_pylist().index(max(rows["interactions_all"].to_pylist()))
    told = explain_value(
        found,
        settings,
        customer=rows["customer_id"][place].as_py(),
        as_of=at,
        column="interactions_all",
    )
    [one] = told["reductions"]
    assert one["value"] == told["value"] == one["rows_read"] == 50 + one["rows_omitted"]
    assert len(one["rows"]) == 50
    assert f"… and {one['rows_omitted']:,} older rows" in report_text(told)


@pytest.mark.parametrize("world", ["whole_shop"], indirect=True)
def test_what_cannot_be_answered_is_said(world):
    found, settings, at, *_, rows = world
    who = rows["customer_id"][5].as_py()

    def asked(customer=who, at=at, column="recency", settings=settings):
        return explain_value(found, settings, customer=customer, as_of=at, column=column)

    with pytest.raises(errors.UnknownKey, match="did you mean 'recency'"):
        asked(column="recencyy")
    with pytest.raises(errors.BadSetting, match="needs contracts"):
        asked(column="days_left")
    off = settings.model_copy(
        update={"features": settings.features.model_copy(update={"off": ["recency"]})}
    )
    with pytest.raises(errors.BadSetting, match="switches off"):
        asked(settings=off)
    with pytest.raises(errors.NotFound, match="nobody has") as nobody:
        asked(customer="Nobody-7")
    assert "Nobody-7" not in str(nobody.value)
    with pytest.raises(errors.NotFound, match="nobody has"):
        asked(at=1)
    early = found.as_of(at).customers.collect().to_native()["customer_id"].to_pylist()
    prospects = sorted(set(early) - set(rows["customer_id"].to_pylist()))
    with pytest.raises(errors.NotFound, match="without activity"):
        asked(customer=prospects[0])


@pytest.mark.parametrize("world", ["whole_shop"], indirect=True)
def test_no_control_character_reaches_the_terminal(world):
    found, settings, at, *_, rows = world
    tables, who = worlds.read_tables(found), rows["customer_id"][5].as_py()
    place = tables["transactions"].column_names.index("category")
    evil = tables["transactions"].set_column(
        place, "category", pa.array(["\x1b[2Jx\ny"] * tables["transactions"].num_rows)
    )
    told = explain_value(
        worlds.rebuild_history(found, tables | {"transactions": evil}),
        settings,
        customer=who,
        as_of=at,
        column="purchases_all",
    )
    assert "\x1b" not in report_text(told)
    assert "�[2Jx�y" in report_text(told)
