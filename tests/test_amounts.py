"""Amounts as targets: what the SELECT returns, and a mean and quantiles that are right where the
truth is known, for many zeros, refunds and long tails.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.core import errors
from features.core.instants import DAY_US
from features.core.settings import load_settings
from features.core.target_schema import Target
from features.labels.outcome_window import OutcomeWindow
from features.labels.targets import check_targets, observe_targets
from features.recipes.stages import STAGES
from serving.api import answers
from serving.release.score_table import SCORE_TYPES
from serving.scoring.amounts import QUANTILES, AmountModel, AmountScale, MeanModel
from serving.scoring.parts import Blend, Rate, design_matrix
from serving.scoring.targets import LEAK, NO_SKILL, NOT_ENOUGH_DATA, OK
from tests.support.checks import nonempty
from tests.support.targets import SPEND, scramble_outside, with_targets
from tests.support.variants import first_quick
from tests.support.worlds import read_tables, rebuild_history, shuffle_rows
from training.evaluation.amounts import evaluate_amount, has_skill
from training.models.amount_rows import SELECTED, AmountRows, correct_level, shortage
from training.models.amount_search import search_amount
from training.models.amounts import constant_amount, fit_amount, quantile_moves
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits
from training.plan import make_plan
from training.targets import fit_targets

OF_EVERYONE = {"population": "everyone"}


def amounts_of(history, config, at, people, **selects):
    config = with_targets(
        config, **{name: Target(amount=text, **OF_EVERYONE) for name, text in selects.items()}
    )
    check_targets(history, config)
    return observe_targets(history, at, people, config)


def people_at(history, at):
    rows = history.as_of(at).customers.sort("customer_id").collect(backend="pyarrow")
    return rows.to_native()["customer_id"]


def test_an_amount_is_the_sum_over_the_window_by_hand(shop):
    _, config, history = shop
    at = make_plan(history, config).evaluate[0]
    people, window = people_at(history, at), OutcomeWindow.after(at, config)
    expected = defaultdict(int)
    for row in read_tables(history)["transactions"].to_pylist():
        inside = window.begin <= row["occurred_at"] < window.end
        if inside and row["recorded_at"] < window.known_until and row["kind"] == "purchase":
            expected[row["customer_id"]] += row["amount"]
    spend = amounts_of(history, config, at, people, spend=SPEND)["spend"]
    by_hand = np.array([expected[name] for name in people.to_pylist()]) / 100
    assert np.allclose(spend.labels, by_hand, rtol=0, atol=1e-9)
    assert spend.positive == np.count_nonzero(by_hand) > 0
    assert spend.new == len(set(nonempty(expected)) - set(people.to_pylist()))


@given(amount=st.integers(1, 10**6), days=st.integers(0, 200))
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_other_pasts_and_other_futures_change_no_amount(shop, amount, days):
    _, config, history = shop
    at = make_plan(history, config).evaluate[0] - days * DAY_US
    people, window = people_at(history, at), OutcomeWindow.after(at, config)
    selects = {
        "spend": SPEND,
        "score": "SELECT customer_id, avg(score) AS amount FROM window.feedback "
        "WHERE score IS NOT NULL GROUP BY customer_id",
        "last": "SELECT customer_id, last(amount) AS amount FROM window GROUP BY customer_id",
    }
    tables = scramble_outside(read_tables(history), window, amount=amount)
    other = rebuild_history(history, shuffle_rows(tables))
    before, after = (amounts_of(each, config, at, people, **selects) for each in (history, other))
    for name, labels in before.items():
        assert labels.positive
        assert np.array_equal(labels.labels, after[name].labels)


ROWS = "SELECT customer_id, {} AS amount FROM window GROUP BY customer_id"
BAD = {
    ROWS.format("CAST(NULL AS DOUBLE)"): ("WrongType", "coalesce"),
    ROWS.format("'inf'::DOUBLE"): ("WrongType", "NULLIF"),
    ROWS.format("'nan'::DOUBLE"): ("WrongType", "NULLIF"),
    ROWS.format("-1e300"): ("WrongType", "finite"),
    ROWS.format("max(kind)"): ("WrongType", "is a number"),
    ROWS.format("count(*) > 1"): ("WrongType", "is a number"),
    "SELECT customer_id, amount FROM window UNION ALL SELECT customer_id, amount FROM window": (
        "DuplicateCustomers",
        "GROUP BY customer_id",
    ),
    "SELECT customer_id FROM window": ("ColumnMissing", "AS amount"),
    "SELECT customer_id, amount, kind FROM window": ("ColumnMissing", "amount, kind"),
    "SELECT 1 AS customer_id, 2 AS amount": ("WrongType", "int32"),
}


@pytest.mark.parametrize("select", BAD)
def test_a_select_that_is_no_amount_is_refused_with_the_fix(select, shop):
    _, config, history = shop
    at = make_plan(history, config).evaluate[0]
    kind, words = BAD[select]
    with pytest.raises(getattr(errors, kind), match=re.escape(words)) as caught:
        amounts_of(history, config, at, people_at(history, at), bad=select)
    assert caught.value.where == "[targets.bad] amount"


TOML = '[files]\nx = "x.csv"\n[tables]\ntransactions = "SELECT 1"\n\n'


@pytest.mark.parametrize(
    "name",
    sorted({*SCORE_TYPES, *answers.COLUMNS} | {"error", "split", "outcome_stage", "p_x"}),
)
def test_a_name_of_a_column_is_refused_with_another(name, tmp_path):
    for key in ("label", "amount"):
        (tmp_path / "lifecycle.toml").write_text(f'{TOML}[targets.{name}]\n{key} = "S"')
        with pytest.raises(errors.BadSetting, match=rf"\[targets.my_{name}\]"):
            load_settings(tmp_path / "lifecycle.toml")


def test_a_target_has_exactly_one_select(tmp_path):
    (tmp_path / "lifecycle.toml").write_text(f'{TOML}[targets.x]\nlabel = "S"\namount = "S"')
    with pytest.raises(errors.BadSetting, match="Make two targets"):
        load_settings(tmp_path / "lifecycle.toml")


def test_no_column_of_an_amount_is_a_column_of_something_else(trained_catalogue):
    """Names with the endings of amounts are of amounts alone, whatever the target is called."""
    model = AmountModel("x", "everyone", OK, (), None, None, None, 0)
    endings = tuple(name.removeprefix("x") for name in model.score_columns)
    features = [column.name for column in trained_catalogue.release.columns]
    assert not [name for name in nonempty([*features, *SCORE_TYPES]) if name.endswith(endings)]


# The truth: x moves the amount, noise does not.
COLUMNS = ("x", "noise")
DATES = (0, 100, 200, 300)


def drawn(kind, *, seed, customers=500):
    """(rows with x and noise at four dates, amounts, their true means)."""
    rng = np.random.default_rng(seed)
    count = customers * len(DATES)
    x, noise = rng.uniform(-1, 1, count), rng.normal(size=count)
    rows = pa.table(
        {
            "customer_id": [f"c{seed}-{k % customers}" for k in range(count)],
            "as_of": np.repeat(DATES, customers) * DAY_US,
            "eligible": np.ones(count, dtype=bool),
            "x": x,
            "noise": np.where(rng.random(count) < 0.1, np.nan, noise),
            **{name: [STAGES[1]] * count for name in ("stage", "stage_if_inactive")},
        }
    )
    buys = rng.random(count) < {"many zeros": 0.15, "refunds": 0.6}.get(kind, 1.0)
    mean = 20 * np.exp(1.5 * x)
    size = mean * rng.gamma(2.0, 0.5, count)
    if kind == "refunds":
        sign = np.where(rng.random(count) < 0.3, -1.0, 1.0)
        return rows, buys * sign * size, 0.6 * 0.4 * mean
    return rows, buys * size, (0.15 if kind == "many zeros" else 1.0) * mean


def as_data(rows, amounts):
    return AmountRows(rows.select(SELECTED), COLUMNS, amounts, design_matrix(rows, COLUMNS))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kind", ["long tail", "many zeros", "refunds"])
def test_mean_and_quantiles_are_right_on_customers_that_were_not_seen(kind, shop):
    """Fitted on 2,000 rows, judged on 8,000 others of which the true mean is known."""
    _, config, _ = shop
    rows, amounts, _ = drawn(kind, seed=1)
    data = as_data(rows, amounts)
    with reproducible_fits(), remember_fits():
        spec = search_amount(data, config, name="x")
        model = fit_amount(spec, data, config, name="x", **OF_EVERYONE)
    assert spec.losses[next(iter(spec.losses))] == spec.losses["mean"]
    assert min(spec.losses, key=spec.losses.get) != "mean"
    others, fresh, mean = drawn(kind, seed=2, customers=2000)
    expected, *quantiles = model.answers_of_all(others).values()
    # Half of the differences between true means are explained, and their sum is right.
    assert np.mean((expected - mean) ** 2) < 0.5 * np.var(mean)
    assert abs(expected.mean() - mean.mean()) < 0.15 * np.abs(fresh).mean()
    low, middle, high = quantiles
    assert (low <= middle).all()
    assert (middle <= high).all()
    # Four standard errors of 2,000 rows of the correction and 8,000 of the judgement.
    assert np.mean(fresh > high) < 0.1 + 4 * np.sqrt(0.09 / 2000 + 0.09 / 8000)
    assert np.mean(fresh < low) < 0.1 + 4 * np.sqrt(0.09 / 2000 + 0.09 / 8000)
    if kind == "long tail":  # without zeros no value is so frequent that more must be covered
        assert abs(np.mean((fresh >= low) & (fresh <= high)) - 0.8) < 0.05
    if kind != "refunds":
        assert min(each.min() for each in (expected, *quantiles)) >= 0
    figures = evaluate_amount(model, data, others.append_column("target_x", [fresh]), config)
    assert has_skill(figures, "everyone")
    assert figures["eligible"]["gain_over_mean"]["low"] > 0


def test_amounts_without_a_pattern_have_no_skill(shop):
    _, config, _ = shop
    rows, amounts, _ = drawn("long tail", seed=3)
    order = np.random.default_rng(0).permutation(len(amounts))
    data = as_data(rows, amounts[order])
    with reproducible_fits(), remember_fits():
        model = fit_amount(
            search_amount(data, config, name="x"), data, config, name="x", **OF_EVERYONE
        )
    others, fresh, _ = drawn("long tail", seed=4)
    fresh = fresh[np.random.default_rng(1).permutation(len(fresh))]
    figures = evaluate_amount(model, data, others.append_column("target_x", [fresh]), config)
    assert not has_skill(figures, "everyone")


def test_the_constant_is_the_mean_and_the_quantiles_of_its_rows():
    rows, amounts, _ = drawn("refunds", seed=5, customers=50)
    model = constant_amount(as_data(rows, amounts), name="x", **OF_EVERYONE)
    expected, *quantiles = (each[0] for each in model.answers_of_all(rows).values())
    assert expected == pytest.approx(amounts.mean())
    ranked = np.sort(amounts)
    # The least amount that at least 10, 50, 90 % are not above.
    by_hand = [ranked[int(np.ceil(level * len(ranked))) - 1] for level in QUANTILES]
    assert quantiles == pytest.approx(by_hand)


def test_too_few_amounts_say_how_many_there_are():
    rows, amounts, _ = drawn("long tail", seed=6, customers=20)
    few = np.where(np.arange(len(amounts)) < 12, amounts, 0.0)
    why = shortage(as_data(rows, few), outcome_window_us=60 * DAY_US)
    assert why is not None
    assert "12 of 80 training rows" in why
    assert shortage(as_data(rows, amounts), outcome_window_us=60 * DAY_US) is None


finite = st.floats(-1e6, 1e6).map(lambda value: round(value, 2))


@given(
    pairs=st.lists(st.tuples(finite, finite, finite, finite), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_moved_quantiles_cover_the_rows_they_were_moved_on(pairs):
    logs, amounts = np.array(pairs)[:, :3], np.array(pairs)[:, 3]
    moved = logs + quantile_moves(logs, amounts)
    slack = 1e-9 * (1 + np.abs(logs).max() + np.abs(amounts).max())
    count = len(amounts)
    below = np.sum(amounts < moved[:, 0] - slack)
    above = np.sum(amounts > moved[:, 2] + slack)
    assert below <= max(0, np.floor(0.1 * (count + 1)) - 1)
    assert above <= count - min(count, np.ceil(0.9 * (count + 1)))


@given(
    values=st.lists(st.tuples(finite, finite), min_size=2, max_size=50),
    may_be_negative=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_after_the_correction_predictions_sum_to_what_came(values, may_be_negative):
    amounts, predicted = np.array(values).T
    if not may_be_negative:
        amounts, predicted = np.abs(amounts), np.abs(predicted)
    scale = AmountScale(1.0, float(amounts.min()), float(amounts.max()), 0.0)
    predicted = np.clip(predicted, scale.low, scale.high)  # as every prediction is
    model = correct_level(
        MeanModel(Blend(((1.0, Rate((0.0,))),)), "identity"), predicted, amounts, scale
    )
    total = float((predicted * model.factor + model.shift).sum())
    bounded = model.factor in (0.2, 5.0) or not amounts.any() or not predicted.any()
    if amounts.min() < 0 or not bounded:
        assert total == pytest.approx(amounts.sum(), rel=1e-6, abs=1e-2)


STATUS = {
    "nothing": NOT_ENOUGH_DATA,
    "few": NOT_ENOUGH_DATA,
    "constant": NO_SKILL,
    "huge": None,
    "tells": LEAK,
}


@pytest.mark.parametrize("name", first_quick(STATUS, quick=1))
def test_odd_amounts_end_with_a_status_and_no_error(name, trained_targets):
    """Nobody has one, few have one, all have the same, one has a billion, a column tells it."""
    made, plan = trained_targets.examples, trained_targets.dates
    rows, count = made.rows, made.rows.num_rows
    column = next(each for each in made.modelled if each.startswith("complaints"))
    values = {
        "nothing": np.zeros(count),
        "few": np.where(np.arange(count) < 5, 3.0, 0.0),
        "constant": np.full(count, -2.5),
        "huge": np.where(np.arange(count) == 40, 1e9, np.arange(count) % 3.0),
        "tells": np.arange(count) % 7.0,
    }[name]
    if name == "tells":
        rows = rows.set_column(rows.column_names.index(column), column, pa.array(values))
    rows = rows.append_column(f"target_{name}", pa.array(values))
    config = with_targets(trained_targets.settings, **{name: Target(amount=SPEND)})
    with reproducible_fits(), remember_fits():
        (fitted,) = fit_targets(
            replace(made, rows=rows), plan, trained_targets.history, config, lacks=[("feedback",)]
        )
    later = made.rows_at(plan.evaluate)
    if STATUS[name] is not None:
        assert fitted.report["status"] == fitted.model.status == STATUS[name]
    for model in (fitted.model, *fitted.without.values()):
        answers_of_all = np.array(list(model.answers_of_all(later).values()))
        assert np.isfinite(answers_of_all).all() == model.has_model
        assert model.has_model or np.isnan(answers_of_all).all()
        if name == "constant":
            assert np.allclose(answers_of_all, -2.5)


def test_amounts_of_later_dates_change_neither_search_nor_evaluated_model(trained_targets):
    plan, made = trained_targets.dates, trained_targets.examples
    spend = with_targets(trained_targets.settings, spend=Target(amount=SPEND))
    later = made.rows["as_of"].to_numpy() > max(plan.train)
    other = np.where(later, 1.0, made.rows["target_spend"].to_numpy())
    place = made.rows.column_names.index("target_spend")
    changed = replace(made, rows=made.rows.set_column(place, "target_spend", pa.array(other)))
    with reproducible_fits(), remember_fits():
        before, after = (
            fit_targets(each, plan, trained_targets.history, spend)[0] for each in (made, changed)
        )
    assert before.spec == after.spec
    assert before.report["level"] == after.report["level"]
    ours, theirs = (each.report["figures"]["eligible"] for each in (before, after))
    assert ours["predicted_mean"] == theirs["predicted_mean"]
    assert ours["mean"] != theirs["mean"]
