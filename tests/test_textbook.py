"""Claims of textbooks beside the data: planted worlds, counts by hand, what is missing."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.indicators.indicator_data import IndicatorData
from features.indicators.intervals import difference_of_shares
from features.indicators.textbook import (
    CLAIMS,
    FEWEST,
    HOLDS,
    LEAST_DIFFERENCE,
    NOT,
    OPEN,
    retention_gain,
    textbook_table,
    verdict,
)
from features.indicators.worth_of_retention import periods_worth
from tests.support.indicator_worlds import day, orders, rows_of, write_business

AT = "2024-04-01"
TEXTS = [claim.text for claim in CLAIMS]


@given(
    x=st.integers(0, 60), extra=st.integers(0, 60), y=st.integers(0, 60), more=st.integers(0, 60)
)
@settings(max_examples=80, deadline=None)
def test_the_interval_of_a_difference_holds_it_and_turns_with_the_groups(x, extra, y, more):
    n, m = x + extra + 1, y + more + 1
    difference, low, high = difference_of_shares(x, n, y, m)
    assert -1 <= low <= difference <= high <= 1
    turned, below, above = difference_of_shares(y, m, x, n)
    assert (turned, below, above) == pytest.approx((-difference, -high, -low))


def test_verdicts_are_right_where_there_is_an_effect_and_seldom_wrong_where_there_is_none():
    """200 with the sign and 200 without; the detectable effect is half the interval."""
    rng = np.random.default_rng(0)
    n, share = 200, 0.6
    detectable = 1.96 * np.sqrt(2 * share * (1 - share) / n)

    def verdicts(effect: float) -> list[str]:
        with_sign = rng.binomial(n, share + effect, 1000)
        without = rng.binomial(n, share, 1000)
        return [
            verdict(*difference_of_shares(x, n, y, n)[1:], positive=True)
            for x, y in zip(with_sign, without, strict=True)
        ]

    assert np.mean([each == HOLDS for each in verdicts(2 * detectable)]) >= 0.95
    nothing = verdicts(0.0)
    assert np.mean([each == HOLDS for each in nothing]) <= 0.065
    assert np.mean([each == OPEN for each in nothing]) > 0.5
    assert np.mean([each == NOT for each in verdicts(-2 * detectable)]) >= 0.95


def test_a_claim_to_leave_is_the_same_turned_round():
    assert verdict(0.1, 0.3, positive=True) == HOLDS
    assert verdict(-0.3, -0.1, positive=False) == HOLDS
    assert verdict(-0.3, -0.1, positive=True) == NOT
    assert verdict(-0.2, LEAST_DIFFERENCE - 0.01, positive=True) == NOT
    assert verdict(-0.2, LEAST_DIFFERENCE + 0.01, positive=True) == OPEN


def test_five_points_of_retention_are_worth_what_the_formula_says(shop):
    _, config, _ = shop

    def with_discount(annual):
        value = config.value.model_copy(update={"annual_discount": annual})
        churn = config.churn.model_copy(update={"horizon_days": 365})
        return config.model_copy(update={"value": value, "churn": churn})

    assert retention_gain(0.8, with_discount(0.0)) == pytest.approx(1 / 3)
    assert retention_gain(0.5, with_discount(0.0)) == pytest.approx(1 / 9)
    assert retention_gain(0.8, with_discount(0.1)) == pytest.approx(0.3 / 0.25 - 1)
    assert retention_gain(0.95, with_discount(0.0)) == np.inf
    assert periods_worth(1.0, 0.0) is None
    assert periods_worth(1.0, 0.1) == pytest.approx(10)


def shop_of(tmp_path, rng, *, buys, leaves, **tables):
    """A hundred customers a group: all were active in January, some again from February on."""
    rows = []
    for who in buys:
        rows += [f"{who} {date(2023, 12, 1) + timedelta(days=int(rng.integers(0, 30)))} 10"]
        if who not in leaves:
            rows.append(f"{who} {date(2024, 2, 1) + timedelta(days=int(rng.integers(0, 30)))} 10")
    return write_business(tmp_path, {"transactions": orders(*rows), **tables})


def claims_of(made):
    chosen, history = made
    rows = rows_of(history, chosen, day(AT), "textbook")["textbook"]
    return {row["claim"]: row for row in rows}


def test_a_planted_complaint_is_found_and_counted_by_hand(tmp_path):
    rng = np.random.default_rng(0)
    people = [f"c{k}" for k in range(200)]
    angry = people[:100]
    leaves = {who for k, who in enumerate(people) if rng.random() < (0.7 if k < 100 else 0.2)}
    feedback = "customer_id,occurred_at,kind,score,answered_at,resolved_at\n" + "".join(
        f"{who},2023-12-31,complaint,,,{'2023-12-31' if k % 2 else ''}\n"
        for k, who in enumerate(angry)
    )
    made = shop_of(tmp_path, rng, buys=people, leaves=leaves, feedback=feedback)
    claims = claims_of(made)
    row = claims["who complains leaves"]
    stayed = sum(who not in leaves for who in angry)
    assert (row["n_with"], row["n_without"], row["n"]) == (100, 100, 200)
    assert row["share_with"] == stayed / 100
    assert row["verdict"] == HOLDS
    resolved = claims["whose complaint is resolved in time stays"]
    assert (resolved["n_with"], resolved["n_without"]) == (50, 50)
    assert claims["who was referred stays"]["missing"] == "[tables] referrals"
    assert claims["who came for a discount leaves"]["verdict"] is None


def test_what_is_known_later_is_no_sign(tmp_path):
    """Complaints of the window itself, and referrals recorded in it, sort nobody."""
    rng = np.random.default_rng(1)
    people = [f"c{k}" for k in range(60)]
    feedback = "customer_id,occurred_at,kind,score,answered_at,resolved_at\n" + "".join(
        f"{who},2024-01-20,complaint,,,\n" for who in people[:30]
    )
    referrals = "referrer_id,referred_id,occurred_at,recorded_at\n" + "".join(
        f"r,{who},2023-11-01,2024-02-01\n" for who in people[:30]
    )
    made = shop_of(tmp_path, rng, buys=people, leaves=set(), feedback=feedback, referrals=referrals)
    claims = claims_of(made)
    assert claims["who complains leaves"]["missing"] == "complaints"
    assert "with the sign" in claims["who was referred stays"]["missing"]


def test_every_claim_has_a_row_and_few_customers_are_told(shop, tmp_path):
    _, config, history = shop
    data = IndicatorData(history, config, history.data_until - 100 * 86_400 * 10**6)
    rows = textbook_table(data)["textbook"].to_pylist()
    data.close()
    assert [row["claim"] for row in rows][: len(TEXTS)] == TEXTS
    assert len(rows) == len(TEXTS) + 2
    for row in rows:
        assert (row["verdict"] is None) == (row["missing"] is not None)
        assert row["verdict"] in (None, HOLDS, NOT, OPEN)
    made = write_business(tmp_path, {"transactions": orders("a 2024-01-01 5", "b 2024-01-02 5")})
    for row in claims_of(made).values():
        assert row["missing"]
    assert f"at least {FEWEST} eligible" in claims_of(made)["who buys often stays"]["missing"]
