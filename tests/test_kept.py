"""Who was kept, by the days that say who is gone: against the labels of the oracle."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from features.core.instants import DAY_US
from features.indicators.kept import GRACE_DAYS
from features.recipes.definitions import learn_definitions
from tests.support import oracle
from tests.support.indicator_worlds import (
    day,
    orders,
    random_business,
    rows_of,
    section,
    write_business,
)

few = settings(max_examples=2, deadline=None)


def with_churn(config, **changed):
    return config.model_copy(update={"churn": config.churn.model_copy(update=changed)})


def settings_of(made):
    """The settings under which each number of days counts."""
    churn = made.settings.churn
    if not made.settings.contractual:
        # Who is eligible does not move with the days.
        eligible = made.settings.eligible_days
        return {
            days: with_churn(made.settings, horizon_days=days, eligible_days=eligible)
            for days in {*made.settings.time.horizons_days, churn.horizon_days}
        }
    return {
        days: with_churn(
            made.settings,
            grace_days=days,
            label_latency_days=max(days, churn.label_latency_days),
        )
        for days in {*GRACE_DAYS, churn.grace_days}
    }


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_every_row_is_the_label_under_its_days(archetype, seed):
    made = random_business(seed, archetype)
    definitions = learn_definitions(made.history().as_of(made.as_of), made.settings)
    expected = {}
    for days, config in settings_of(made).items():
        churn = config.churn
        begin = made.as_of - (churn.horizon_days + churn.label_latency_days) * DAY_US
        states = oracle.states(made.tables, begin, config, definitions)
        outcomes = oracle.outcomes(made.tables, begin, config, definitions)
        stayed = [not row["churned"] for who, row in outcomes.items() if states[who]["eligible"]]
        if stayed:
            expected[days] = (sum(stayed) / len(stayed), len(stayed))
    assume(expected)
    rows = section(made, "kept")["kept"]
    churn = made.settings.churn
    own = churn.grace_days if made.settings.contractual else churn.horizon_days
    assert [row["days"] for row in rows] == sorted(expected)
    assert {row["days"]: (row["kept"], row["n"]) for row in rows} == expected
    for row in rows:
        assert row["low"] <= row["kept"] <= row["high"]
        assert row["configured"] == ("yes" if row["days"] == own else "no")
        assert row["by"].startswith("days")


@pytest.mark.parametrize("kind", ["shop", "subscriptions"])
def test_the_configured_row_is_the_retention_of_the_page(request, kind):
    _, chosen, history = request.getfixturevalue(kind)
    at = history.data_until - 100 * DAY_US
    rows = rows_of(history, chosen, at, "kept")["kept"]
    [own] = [row for row in rows if row["configured"] == "yes"]
    page = rows_of(history, chosen, at, "indicators")["indicators"]
    [retention] = [row for row in page if row["indicator"] == "retention"]
    assert own["kept"] == retention["value"]
    assert {name: own[name] for name in ("n", "low", "high")} == {
        name: retention[name] for name in ("n", "low", "high")
    }
    if chosen.contractual:
        assert len(rows) == len({*GRACE_DAYS, chosen.churn.grace_days})
    else:
        # The same customers would be kept more often in a longer window; these nearly are.
        assert rows[0]["kept"] < rows[-1]["kept"]


def test_windows_longer_than_the_history_have_no_row(tmp_path):
    bought = orders("a 2024-01-10 10", "a 2024-01-30 10", "b 2024-01-12 10")
    chosen, history = write_business(tmp_path, {"transactions": bought})
    at = day("2024-02-10")
    rows = rows_of(history, chosen, at, "kept")["kept"]
    # 60 days before nobody was known; 30 days before a was, who came again, and b was not.
    assert [(r["days"], r["kept"], r["n"]) for r in rows] == [
        (7, 0.0, 2),
        (14, 0.5, 2),
        (30, 1.0, 1),
    ]
    assert {row["configured"] for row in rows} == {"no"}
    [row] = rows_of(history, chosen, day("2024-01-11"), "kept")["kept"]
    assert (row["missing"], row["n"]) == ("a customer who was eligible one window before as_of", 0)


def test_a_late_renewal_is_kept_from_its_days_of_grace_on(tmp_path):
    terms = (
        "customer_id,starts_at,ends_at,plan\n"
        "a,2024-01-01,2024-03-01,basic\na,2024-03-06,2024-12-01,basic\n"
        "b,2024-01-01,2024-12-01,basic\nc,2024-01-01,2024-03-01,basic\n"
    )
    bought = orders("a 2024-01-01 10", "b 2024-01-01 10", "c 2024-01-01 10")
    chosen, history = write_business(
        tmp_path,
        {"transactions": bought, "contracts": terms},
        business={"archetype": "contractual"},
        churn={"horizon_days": 30, "grace_days": 5, "label_latency_days": 5},
    )
    rows = rows_of(history, chosen, day("2024-04-01"), "kept")["kept"]
    # With 30 days of grace the window begins on February 1, with 0 to 5 on February 26.
    assert [(r["days"], round(r["kept"], 3), r["configured"]) for r in rows] == [
        (0, 0.333, "no"),
        (3, 0.333, "no"),
        (5, 0.667, "yes"),
        (7, 0.667, "no"),
        (14, 0.667, "no"),
        (30, 0.667, "no"),
    ]
