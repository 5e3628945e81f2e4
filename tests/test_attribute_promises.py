"""The promises about time, order and company for attributes with versions: batch, kept plan,
release and request alike.
"""

from __future__ import annotations

import dataclasses
import json
import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.core import errors
from features.core.instants import DAY_US
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.prepared import PreparedFeatures
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import population_stats
from features.tables.terms import TermRules
from serving.api import request_events
from serving.api.questions import parse_request
from serving.release import golden
from tests.support import worlds
from tests.support.checks import nonempty


@pytest.fixture(scope="module")
def dated(shop):
    """The shop with versions: segments that move, an attribute of its own, late versions and one
    constant.
    """
    _, settings, found = shop
    rng, tables = random.Random(4), worlds.read_tables(found)
    rows = []
    for row in tables["customers"].to_pylist():
        at = row["acquired_at"]
        for turn in range(rng.choice((1, 1, 2, 3))):
            since = at + turn * rng.randrange(1, 400) * DAY_US - 1
            rows.append(
                row
                | {
                    "valid_from": since,
                    "segment": rng.choice(("basic", "it's 0.5", "plus")),
                    "consent": rng.choice((True, False, None)),
                    "acquisition_cost": rng.randrange(9000),
                    "Größe {x}": rng.choice((None, 1.5, -2.25)),
                    "tier": rng.choice(("x", "y")),
                }
            )
    unique = {(row["customer_id"], row["valid_from"]): row for row in rows}
    fields = [
        *tables["customers"].schema,
        pa.field("Größe {x}", pa.float64()),
        pa.field("tier", pa.string()),
    ]
    tables["customers"] = pa.Table.from_pylist(list(unique.values()), schema=pa.schema(fields))
    stated = settings.contract.model_copy(update={"constant_attributes": ["channel"]})
    settings = settings.model_copy(update={"contract": stated})
    found = worlds.rebuild_history(found, tables)
    at = found.data_until - 200 * DAY_US - 12_345
    known = found.as_of(at)
    definitions = learn_definitions(known, settings)
    chosen = [
        c
        for c in columns_for(found, definitions, settings)
        if c.feature.family in ("attributes", "recency")
    ]
    base = population_stats(known, definitions)
    return (
        found,
        settings,
        at,
        definitions,
        chosen,
        base,
        build(known, population=base, definitions=definitions, columns=chosen),
    )


def again(dated, tables, **options):
    found, settings, at, _, chosen, base, _ = dated
    known = worlds.rebuild_history(found, tables, **options).as_of(at)
    return build(
        known, population=base, definitions=learn_definitions(known, settings), columns=chosen
    )


def test_there_are_attributes_to_promise_about(dated):
    names = {c.name for c in dated[4] if c.feature.family == "attributes"}
    assert {
        "segment_is_it_s_0_5",
        "größe_x",
        "tier_is_x",
        "channel_is_search",
        "consent",
        "acquisition_cost",
        "attribute_age",
    } <= names
    assert all(pc.count_distinct(dated[-1][name]).as_py() > 1 for name in nonempty(names))


def test_the_future_says_nothing(dated):
    tables, at = worlds.read_tables(dated[0]), dated[2]
    future = worlds.scramble_future(tables, at)
    assert not future["customers"].equals(tables["customers"])
    assert again(dated, future).equals(dated[-1])
    assert again(dated, worlds.truncate_history(tables, at)).equals(dated[-1])
    one = (
        tables["customers"]
        .slice(0, 1)
        .set_column(1, tables["customers"].schema.field(1), pa.array([at]))
    )
    assert again(
        dated, tables | {"customers": pa.concat_tables([tables["customers"], one])}
    ).equals(dated[-1])


def test_order_threads_and_company_say_nothing(dated):
    found, _, at, definitions, chosen, base, rows = dated
    tables = worlds.read_tables(found)
    assert again(dated, worlds.shuffle_rows(tables), threads=2).equals(rows)
    for place in range(0, rows.num_rows, 60):
        known = worlds.rebuild_history(
            found, worlds.keep_customer(tables, rows["customer_id"][place].as_py())
        ).as_of(at)
        assert build(known, population=base, definitions=definitions, columns=chosen).equals(
            rows.slice(place, 1).combine_chunks()
        )


def test_the_kept_plan_builds_the_same_bits(dated):
    found, settings, at, definitions, chosen, base, rows = dated
    plan = PreparedFeatures(
        definitions=definitions,
        population=base,
        columns=chosen,
        tables=found.names,
        activity_kinds=found.activity_kinds,
        terms=TermRules.from_settings(settings),
    )
    mine = rows["customer_id"].slice(7, 60)
    sent = {
        name: table.filter(pc.is_in(table["customer_id"], mine.combine_chunks()))
        for name, table in worlds.read_tables(found).items()
    }
    assert plan.build(sent, as_of=at).equals(
        rows.filter(pc.is_in(rows["customer_id"], mine.combine_chunks()))
    )
    without = [c for c in chosen if c.feature.family != "attributes"]
    assert (
        "customers"
        not in PreparedFeatures(
            definitions=definitions,
            population=base,
            columns=without,
            tables=found.names,
            activity_kinds=found.activity_kinds,
            terms=TermRules(),
        )._tables
    )


def test_definitions_survive_the_release_and_the_golden_customers_say_every_level(dated):
    definitions = dated[3]
    assert (
        Definitions.from_mapping(json.loads(json.dumps(dataclasses.asdict(definitions))))
        == definitions
    )
    events = golden.golden_events(
        definitions,
        tables=dated[0].names,
        activity_kinds=("purchase",),
        as_of=definitions.learned_as_of,
    )
    said = events["customers"]
    for one in nonempty(definitions.attributes):
        assert {level for level, _ in one.columns} - {""} <= set(said[one.name].to_pylist())


def test_a_request_may_state_further_attributes_of_the_type_they_were_trained_with(dated):
    settings, further = dated[1], dated[3].attributes
    row = {
        "valid_from": "2022-05-01T00:00:00Z",
        "segment": "plus",
        "consent": True,
        "attributes": {"Größe {x}": 2, "tier": " x "},
    }

    def sent(**other):
        body = {"customers": [{"customer_id": "7", "customers": [row | other]}]}
        return (
            request_events.read_events(
                parse_request(body), settings, as_of=dated[2], attributes=further
            )
            .tables["customers"]
            .to_pylist()[0]
        )

    got = sent()
    assert (got["Größe {x}"], got["tier"], got["segment"], got["consent"]) == (
        2.0,
        "x",
        "plus",
        True,
    )
    for other, where in (
        ({"attributes": {"unheard": 1}}, "attributes"),
        ({"attributes": {"tier": 1}}, "attributes"),
        ({"attributes": {"segment": "a"}}, "attributes"),
        ({"attributes": {"Größe {x}": True}}, "attributes"),
        ({"attributes": {"Größe {x}": 1e13}}, "attributes"),
        ({"valid_from": "2029-01-01T00:00:00Z"}, "valid_from"),
    ):
        with pytest.raises(errors.Malformed) as refusal:
            sent(**other)
        assert refusal.value.where == f"customers[0].customers[0].{where}"
        assert "unheard" not in str(refusal.value)
    twice = {"customers": [{"customer_id": "7", "customers": [row, row | {"segment": "basic"}]}]}
    with pytest.raises(errors.Malformed, match="contradict"):
        request_events.read_events(
            parse_request(twice), settings, as_of=dated[2], attributes=further
        )
