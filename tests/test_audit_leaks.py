"""Every planted leak is caught, by the check that names it, and nothing else is accused."""

from __future__ import annotations

import pytest

from features.audit import audit, parity, perturbations, report_text
from features.audit.parity import PERTURBATIONS, AuditCase
from features.core import settings as settings_of
from features.core.instants import DAY_US
from features.tables import history as histories
from tests.support.audit_leaks import CANCELLING, HONEST, OF_TODAY, PEEKING, base_of_today, planted
from tests.support.businesses import with_features_off

NOTHING = [
    "recency",
    "rhythm",
    "frequency",
    "monetary",
    "trend",
    "engagement",
    "streaks",
    "value",
    "sessions",
    "channels",
    "breadth",
    "satisfaction",
    "complaints",
    "past",
    "attributes",
    "cover",
]


@pytest.fixture(scope="module")
def peeking(shop):
    """An audit of the shop's files with further columns of customers and columns that peek."""
    folder, stated, _ = shop
    more = ", ".join(
        f"{sql} AS {name}"
        for name, sql in (HONEST | {name: sql for name, (_, sql) in OF_TODAY.items()}).items()
    )
    tables = stated.tables | {"customers": f"SELECT c.*, {more} FROM customers c"}
    chosen = with_features_off(stated, NOTHING).model_copy(
        update={"tables": tables, "folder": folder}
    )
    found, _ = histories.load_history(chosen)
    return audit(found, chosen, dates=4, single_customers=1, builder=planted(PEEKING))


@pytest.mark.parametrize("name", PEEKING)
def test_a_feature_that_peeks_is_caught(peeking, name):
    by = {one["perturbation"] for one in peeking["differences"] if one["feature"] == name}
    by |= {
        one["kind"]
        for one in peeking["findings"]
        if one["where"] == name and one["severity"] == "leak"
    }
    assert PEEKING[name][0] in by, by
    assert not peeking["passed"]
    assert name in report_text(peeking)


def test_only_what_peeks_and_what_is_of_today_is_accused(peeking):
    assert {one["feature"] for one in peeking["differences"]} <= set(PEEKING)
    named = {one["where"] for one in peeking["findings"]}
    assert named - set(PEEKING) == {f"customers.{name}" for name in OF_TODAY}
    first = peeking["differences"][0]
    assert set(first) == {"feature", "perturbation", "as_of", "rows", "position", "known", "other"}
    assert first["known"] != first["other"]


@pytest.mark.long
@pytest.mark.slow
def test_contracts_read_ahead_are_caught(subscriptions):
    _, stated, found = subscriptions
    said = audit(
        found,
        with_features_off(stated, NOTHING),
        dates=1,
        single_customers=0,
        builder=planted(CANCELLING),
    )
    by = {(one["feature"], one["perturbation"]) for one in said["differences"]}
    assert by >= {(name, world) for name, (world, _) in CANCELLING.items()}
    assert {feature for feature, _ in by} == set(CANCELLING)


def test_a_base_measured_today_is_caught(shop):
    _, stated, found = shop
    tables, at, making = (
        perturbations.read_tables(found),
        found.data_until - 300 * DAY_US,
        base_of_today(),
    )
    chosen = with_features_off(stated, [name for name in NOTHING if name != "monetary"])
    kept = making.learn(found, chosen, at)
    scene = AuditCase(
        found, chosen, tables, at, making, kept, making.build_rows(found, chosen, at, kept), None
    )
    named = {
        one.feature
        for one in parity.check_learned(
            PERTURBATIONS[0], scene, parity.CheckResult("truncated history", "")
        )
    }
    assert {"(population: amount_quantiles)", "(definitions: gaps)"} <= named
    check_one = parity.check_one(
        PERTURBATIONS[0], scene, perturbations.truncate_history(tables, at)
    )
    assert "amount_percentile" in {one.feature for one in check_one}


@pytest.mark.parametrize("name", OF_TODAY)
def test_an_attribute_of_today_is_caught(peeking, name):
    kinds = {one["kind"] for one in peeking["findings"] if one["where"] == f"customers.{name}"}
    assert OF_TODAY[name][0] in kinds, kinds


EVENTS = "SELECT customer_id, occurred_at, amount, kind, {clock} AS recorded_at FROM transactions"
CLOCKS = {
    "bulk load": ("transactions", EVENTS.format(clock="'2023-12-31 03:00:00'")),
    "recorded before it happened": (
        "transactions",
        EVENTS.format(clock="CAST(CAST(occurred_at AS TIMESTAMP) - INTERVAL 1 HOUR AS VARCHAR)"),
    ),
    "recorded long after": (
        "transactions",
        EVENTS.format(clock="CAST(CAST(occurred_at AS TIMESTAMP) + INTERVAL 50 DAY AS VARCHAR)"),
    ),
    "load time": ("feedback", "SELECT *, '2024-02-01' AS batch FROM feedback"),
}


@pytest.mark.parametrize("kind", CLOCKS)
def test_clocks_that_contradict_each_other_are_named(shop, kind):
    from features.audit import attributes, clocks

    folder, stated, _ = shop
    name, select = CLOCKS[kind]
    tables = {"transactions": stated.tables["transactions"], name: select}
    contract = stated.contract.model_copy(update={"data_until": None, "constant_attributes": []})
    chosen = settings_of.Settings.model_validate(
        stated.model_dump()
        | {"tables": tables, "folder": folder, "contract": contract.model_dump()}
    )
    found, _ = histories.load_history(chosen)
    said = [
        *clocks.find_clock_errors(found),
        *attributes.find_suspicious_columns(found, chosen, []),
    ]
    assert kind in {one.kind for one in said}
    assert all(one.where.startswith(name) for one in said)
