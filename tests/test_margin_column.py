"""Money in the margin of each row: laws of the values, a second implementation of the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.labels.event_times import with_horizon
from features.labels.later_money import money_column, observe_money
from features.tables.history import History, load_history
from features.tables.margins import LEAST_KNOWN
from serving.release.json_files import read_json, write_json
from serving.release.value_file import FILE, read_value, write_value
from serving.scoring.lifetime_value import LifetimeValue
from serving.scoring.value_columns import VALUE_COLUMNS
from tests.support import oracle
from tests.support.indicator_worlds import day, write_business
from tests.support.oracle_worlds import world
from tests.support.values import answers_of
from training.examples import Examples, make_examples
from training.models.fit_value import NO_MARGINS
from training.value import released_value, value_facts

few = settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.generate))
CSV = "customer_id,occurred_at,amount,kind,margin\n"


def in_margin(config: Settings, margin: object = "column", transactions: str = "") -> Settings:
    """The settings with this `[value] margin` and SELECT of transactions."""
    tables = config.tables | ({"transactions": transactions} if transactions else {})
    value = config.value.model_copy(update={"margin": margin})
    return config.model_copy(update={"value": value, "tables": tables})


def examples_of(business, config: Settings, history: History | None = None) -> Examples:
    """Examples of three dates of the business, from its files under these settings."""
    plan = replace(business.dates, train=(), refit=business.dates.refit[:3])
    return make_examples(history or load_history(config)[0], config, plan)


def value_of(
    business, examples: Examples, config: Settings
) -> tuple[LifetimeValue, dict, pa.Table]:
    """The value, its answers and the rows, with p of the trained release."""
    rows = examples.rows_at(business.dates.refit[:3])
    p = business.release.scorer.p_churn(rows)
    value = released_value(rows, p, business.release.curve, examples, config)
    return value, answers_of(business, value, rows, p), rows


def test_a_margin_that_is_the_amount_gives_the_values_of_revenue_bit_for_bit(trained_shop):
    select = "SELECT *, amount AS margin FROM transactions"
    config = in_margin(trained_shop.settings, transactions=select)
    examples = examples_of(trained_shop, config)
    assert set(examples.margin_shares.values()) == {1.0}
    _, ours, rows = value_of(trained_shop, examples, config)
    plain = in_margin(trained_shop.settings, 1.0)
    known = trained_shop.examples
    revenue, theirs, before = value_of(trained_shop, known, plain)
    assert revenue.terms.margin == 1.0
    for name in VALUE_COLUMNS:
        np.testing.assert_array_equal(ours[name], theirs[name])
    # Nothing else reads margins: features, stages and churn are what they were.
    later = {money_column(days) for days in config.money_horizons}
    others = [name for name in rows.column_names if name not in {*later, "split"}]
    assert rows.select(others).equals(before.select(others))


@pytest.mark.slow
@pytest.mark.long
def test_a_margin_of_four_tenths_gives_four_tenths_of_the_value(trained_shop, tmp_path):
    """Amounts are five times as large, so that four tenths of each are whole cents.

    The purchase models begin at the level of the margins, so the regression sees the same ratios:
    only the last bits of the floats differ.
    """
    amount = "CAST(amount AS DECIMAL(18, 2))"
    select = (
        f"SELECT * EXCLUDE (amount), 5 * {amount} AS amount, 2 * {amount} AS margin "
        "FROM transactions"
    )
    config = in_margin(trained_shop.settings, transactions=select)
    history = load_history(config)[0]
    value, ours, _ = value_of(trained_shop, examples_of(trained_shop, config, history), config)
    plain = in_margin(config, 1.0)
    revenue, theirs, rows = value_of(trained_shop, examples_of(trained_shop, plain, history), plain)
    for name in VALUE_COLUMNS:
        np.testing.assert_allclose(ours[name], 0.4 * theirs[name], rtol=1e-9)
    # The simpler answer beside it is in the same unit.
    money = [each.model.purchases(rows).per_day for each in (value, revenue)]
    np.testing.assert_allclose(money[0], 0.4 * money[1], rtol=1e-12)
    columns = tuple(column.name for column in trained_shop.release.columns)
    curve = trained_shop.release.curve
    write_value(value, tmp_path)
    read = read_value(tmp_path, "r", config, columns, curve)
    assert read.model.models == value.model.models
    assert read.terms == value.terms
    with pytest.raises(Exception, match="contradicts the configuration"):
        read_value(tmp_path, "r", plain, columns, curve)
    write_value(revenue, tmp_path)
    content = read_json(tmp_path / FILE, "r")
    del content["value"]["spending"]["models"]["margin_share"]  # a release of before
    write_json(tmp_path / FILE, content)
    assert read_value(tmp_path, "r", plain, columns, curve).model.models == revenue.model.models


def slow_margin(made, now, customer: str, days: int) -> float:
    """What is left of a customer's money within so many days, row by row."""
    rows = [row for row in now["transactions"] if row["kind"] in ("purchase", "refund")]
    bought = [row for row in rows if row["margin"] is not None and not oracle.is_refund(row)]
    amounts = sum(row["amount"] for row in bought)
    share = sum(row["margin"] for row in bought) / amounts if amounts else 0.0
    total = 0.0
    for row in rows:
        in_window = made.as_of <= row["occurred_at"] < made.as_of + days * oracle.DAY
        if row["customer_id"] == customer and in_window:
            known = row["margin"] is not None
            money = row["margin"] if known else row["amount"] * share
            size = abs(row["margin"]) if known else abs(row["amount"]) * share
            total += -size if oracle.is_refund(row) else money
    return total / 10**made.settings.minor_digits


@few
@given(seed=st.integers(0, 2**32))
def test_margins_of_every_horizon_are_those_of_a_second_implementation(seed):
    made = world(seed, "non-contractual")
    for row in made.tables["transactions"]:
        known = made.rng.random() < 0.8
        row["margin"] = made.rng.randint(-200, 900) if known else None
    history, config = made.history(), made.settings
    people = sorted({row["customer_id"] for row in made.tables["transactions"]})
    known = history.as_of(made.as_of)
    money = observe_money(history, known, pa.chunked_array([people]), config, in_margin=True)
    for at, days in enumerate(config.money_horizons):
        closes = made.as_of + with_horizon(config, days).outcome_window_us
        now = oracle.known(made.tables, closes)
        window = [
            row
            for row in now["transactions"]
            if row["kind"] in ("purchase", "refund")
            and made.as_of <= row["occurred_at"] < made.as_of + days * oracle.DAY
        ]
        covered = sum(abs(row["amount"]) for row in window if row["margin"] is not None)
        if closes > history.data_until or covered < LEAST_KNOWN * sum(
            abs(row["amount"]) for row in window
        ):
            assert np.isnan(money[:, at]).all()
            continue
        expected = [slow_margin(made, now, each, days) for each in people]
        np.testing.assert_allclose(money[:, at], expected, rtol=1e-9, atol=1e-9)


ROWS = (
    "a,2024-01-02,100,purchase,40",
    "b,2024-01-03,100,purchase,20",
    # The window of thirty days from 2024-02-01 on.
    "a,2024-02-02,200,purchase,100",
    "a,2024-02-03,50,refund,30",  # counts against it, as its amount does
    "a,2024-02-04,10,purchase,15",  # more than the amount counts as it is
    "b,2024-02-05,80,purchase,-8",  # below its cost
    "b,2024-02-06,40,purchase,",  # not known: its amount × the share of the others
    "c,2024-02-07,20,refund,",
    "c,2024-04-20,1,purchase,1",
)


def left_of(folder, rows, at: str = "2024-02-01", text: str = "", **sections) -> list[float]:
    """The margin within 30 days of a, b and c, from a CSV."""
    changed = {"value": {"margin": "column"}, "churn": {"horizon_days": 30}, **sections}
    folder.mkdir(exist_ok=True)
    table = text or CSV + "\n".join(rows) + "\n"
    config, history = write_business(folder, {"transactions": table}, **changed)
    people = pa.chunked_array([["a", "b", "c"]])
    known = history.as_of(day(at))
    return observe_money(history, known, people, config, in_margin=True)[:, 0].tolist()


def test_margins_are_those_counted_by_hand(tmp_path):
    # 40 + 20 + 100 + 15 − 8 of 100 + 100 + 200 + 10 + 80.
    share = 167 / 490
    expected = [100 - 30 + 15, -8 + 40 * share, -20 * share]
    np.testing.assert_allclose(left_of(tmp_path, ROWS), expected, rtol=1e-12)


def test_the_order_of_rows_and_what_comes_later_say_nothing(tmp_path):
    plain = left_of(tmp_path / "plain", ROWS)
    assert left_of(tmp_path / "shuffled", ROWS[::-1]) == plain
    later = [*ROWS, "a,2024-03-02,500,purchase,1", "d,2024-04-01,10000,purchase,9999"]
    assert left_of(tmp_path / "later", later) == plain
    # Recorded after the window closed, though it happened in it.
    heads = CSV.strip() + ",recorded_at\n"
    rows = [f"{row},{row.split(',')[1]}" for row in ROWS]
    rows += ["b,2024-02-08,900,purchase,450,2024-03-20"]
    assert left_of(tmp_path / "recorded", [], text=heads + "\n".join(rows) + "\n") == plain


def test_where_fewer_than_half_of_the_amounts_have_a_margin_nothing_is_said(tmp_path):
    rows = [*ROWS[:2], "a,2024-02-02,99,purchase,50", "b,2024-02-03,100,purchase,", ROWS[-1]]
    assert np.isnan(left_of(tmp_path / "fewer", rows)).all()
    rows[2] = "a,2024-02-02,100,purchase,50"
    np.testing.assert_allclose(left_of(tmp_path / "half", rows), [50, 100 * 110 / 300, 0])


def test_without_margins_there_is_no_value_and_the_report_says_why(trained_shop):
    select = "SELECT *, CAST(NULL AS DOUBLE) AS margin FROM transactions"
    config = in_margin(trained_shop.settings, transactions=select)
    examples = examples_of(trained_shop, config)
    rows = examples.rows_at(trained_shop.dates.refit[:3])
    p = trained_shop.release.scorer.p_churn(rows)
    value = released_value(rows, p, trained_shop.release.curve, examples, config)
    assert value is None
    assert value_facts(value, rows, config) == {"unknown": f"{NO_MARGINS} is missing"}


def test_a_level_below_zero_is_only_a_beginning(trained_shop):
    """A business that sold everything below its cost until now has values, and none below 0."""
    examples = trained_shop.examples
    shares = dict.fromkeys(trained_shop.dates.refit, -0.3)
    config = in_margin(trained_shop.settings)
    value, answers, _ = value_of(trained_shop, replace(examples, margin_shares=shares), config)
    assert value.model.models.margin_share == 0.01
    for each in answers.values():
        assert np.isfinite(each).all()
        assert (each >= 0).all()


def test_the_level_is_that_of_the_newest_instant_and_of_nothing_later(trained_shop):
    """A share that is known only after the newest row changes no value."""
    config, dates = in_margin(trained_shop.settings), trained_shop.dates.refit[:3]
    shares = dict(zip(dates, (0.2, 0.3, 0.4), strict=True))
    value, answers, _ = value_of(
        trained_shop, replace(trained_shop.examples, margin_shares=shares), config
    )
    assert value.model.models.margin_share == 0.4
    later = shares | {max(dates) + DAY_US: 0.9}
    again = value_of(trained_shop, replace(trained_shop.examples, margin_shares=later), config)
    for name in VALUE_COLUMNS:
        np.testing.assert_array_equal(again[1][name], answers[name])
