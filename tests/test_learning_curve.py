"""The learning curve: nested and deterministic subsets, every size beside the baselines, and a size
worth having.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from serving.scoring.calibration import Calibration
from serving.scoring.scorer import Scorer
from tests.support.checks import nonempty
from tests.support.constant_rates import constant_rate
from training import metrics
from training.evaluation import baselines, learning_curve
from training.models import churn, next_stage
from training.plots.learning_curve import draw_learning_curve

IDS = st.lists(st.text(max_size=6), max_size=60)


@given(IDS, st.floats(0, 1), st.floats(0, 1), st.randoms())
@how(max_examples=40, deadline=None)
def test_a_smaller_share_lies_inside_a_larger_one_whoever_else_is_there(ids, one, other, random):
    small, large = sorted((one, other))

    def names(share, of):
        return learning_curve.sample_customers(
            pa.table({"customer_id": pa.array(of, pa.string())}), share
        )["customer_id"].to_pylist()

    assert set(names(small, ids)) <= set(names(large, ids))
    assert names(1.0, ids) == ids
    shuffled = random.sample(ids, len(ids))
    assert sorted(names(small, shuffled)) == sorted(names(small, ids))
    assert set(names(small, [*ids, "one more"])) - {"one more"} == set(names(small, ids)) - {
        "one more"
    }


def test_a_share_takes_about_that_share():
    rows = pa.table({"customer_id": [f"c{k}" for k in range(4000)]})
    assert [
        learning_curve.sample_customers(rows, share).num_rows / 4000 for share in (0.05, 0.4)
    ] == pytest.approx([0.05, 0.4], abs=0.02)


@given(st.integers(1, 40))
def test_dates_are_doubled_up_to_all_of_them(count):
    found = learning_curve.halvings(count)
    assert found[0] == 1
    assert found[-1] == count
    assert list(found) == sorted(set(found))
    assert [pair for pair in pairwise(found) if pair[1] > 2 * pair[0]] == []


@pytest.fixture(scope="module")
def drawn(trained_shop):
    """(made, dates, settings, fit): a fit that costs nothing, base rates, and beside it the truth
    it is judged by.
    """
    dates, made = trained_shop.dates, trained_shop.examples

    def fit(rows):
        q, classes = next_stage.fit_frequencies(rows)
        return Scorer(
            made.definitions,
            made.modelled,
            constant_rate(rows),
            Calibration(),
            q,
            classes,
            rows.num_rows,
            next_stage.stayers(rows).num_rows,
        )

    return made, dates, trained_shop.settings, fit


@pytest.mark.slow
@pytest.mark.long
def test_a_curve_of_base_rates_is_worth_having_at_no_size(drawn, tmp_path):
    made, dates, settings, fit = drawn
    found = learning_curve.learning_curve(fit, made, dates, settings)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [point["customers"] for point in found["customers"]] == sorted(
        p["customers"] for p in found["customers"]
    )
    assert found["customers"][-1] == found["dates"][-1]
    assert all(
        worth is None
        for by in nonempty(found["better_from"].values())
        for axes in by.values()
        for worth in axes.values()
    )
    whole = found["customers"][-1]
    assert whole["rows"] == made.rows_at(dates.train).num_rows
    assert whole["churn"]["everyone"]["difference"] >= -1e-9  # base rate is one of the baselines
    assert draw_learning_curve(found, tmp_path / "curve.png").stat().st_size > 10_000
    assert "at no size" in "\n".join(learning_curve.lines({"learning_curve": found}))


@pytest.mark.slow
@pytest.mark.long
def test_a_curve_is_the_same_again_and_of_a_better_model_worth_having(drawn):
    made, dates, settings, fit = drawn

    class Better(Scorer):
        """It is told the outcome: better than every baseline, by construction."""

        def score(self, rows):
            _, p_next = super().score(rows)
            y = rows["churned"].to_numpy()
            return np.where(y, 0.9, 0.1), p_next

    def better(rows):
        found = fit(rows)
        return Better(**{name: getattr(found, name) for name in found.__dataclass_fields__})

    one, other = (learning_curve.learning_curve(better, made, dates, settings) for _ in range(2))
    assert one == other
    able = [point["customers"] for point in one["customers"] if point["churn"]]
    assert one["better_from"]["churn"]["everyone"]["customers"] == able[0]
    assert one["better_from"]["churn"]["everyone"]["dates"] == 1


def test_too_few_rows_are_said_and_not_fitted(drawn):
    made, dates, settings, _ = drawn
    few = replace(made, rows=made.rows.filter(np.arange(made.rows.num_rows) % 40 == 0))

    def refuses(rows):
        raise AssertionError("too few rows were fitted")

    assert 0 < few.rows_at(dates.train)["churned"].to_numpy().sum() < churn.MIN_OF_EACH
    found = learning_curve.learning_curve(refuses, few, dates, settings)
    assert all(point["churn"] is None for point in nonempty(found["customers"]))
    assert draw_learning_curve(found, None) is None
    assert "too few" in "\n".join(learning_curve.lines({"learning_curve": found}))


def test_baselines_of_every_size_are_fitted_on_that_size(drawn):
    made, dates, settings, fit = drawn
    found = learning_curve.learning_curve(fit, made, dates, settings)
    size = found["customers"][-2]
    rows, late = (
        learning_curve.sample_customers(made.rows_at(dates.train), size["share"]),
        made.rows_at(dates.evaluate),
    )
    lost = {
        name: metrics.log_losses(late["churned"].to_numpy(), p).mean()
        for name, p in baselines.churn_baselines(
            rows,
            late,
            outcome_window_us=settings.outcome_window_us,
            contractual=settings.contractual,
        ).items()
    }
    told = size["churn"]["everyone"]
    assert told["best_baseline_log_loss"] == pytest.approx(min(lost.values()))
    assert lost[told["best_baseline"]] == pytest.approx(min(lost.values()))
