"""The scores of both kinds of business, the examples they were learned from, and what they promise of each other."""

from __future__ import annotations

import numpy as np
import pytest

from features.core import errors
from features.core.instants import DAY_US
from features.engine.build import build
from features.labels.outcomes import mature, observe
from features.recipes.population_stats import population_stats
from features.recipes.stages import STAGES, STATE_COLUMNS
from serving.scoring.scorer import stage_index
from tests.trained_business import business as business
from tests.trained_business import scores
from training import examples, plan


def test_scores_are_one_distribution(business):
    table = scores(business)
    table = table.filter(table["p_churn"].is_valid())
    p = table["p_churn"].to_numpy()
    nexts = np.stack([table[f"p_next_{stage}"].to_numpy() for stage in STAGES], axis=1)
    s0 = stage_index(table["stage_if_inactive"].to_numpy())
    assert len(p) > 100
    assert np.abs(nexts.sum(axis=1) - 1).max() < 1e-9
    floor = nexts[np.arange(len(p)), s0]
    assert (floor >= p).all()
    stays = nexts.copy()
    stays[np.arange(len(p)), s0] -= p
    q = stays / (1 - p)[:, None]
    assert (
        np.abs(p[:, None] * (np.arange(7) == s0[:, None]) + (1 - p)[:, None] * q - nexts).max()
        < 1e-9
    )
    assert (q > -1e-9).all()
    edge = 1 / (2 * business.release.scorer.churn_rows)
    assert ((p >= edge) & (p <= 1 - edge)).all()


def test_the_score_file_has_the_columns_of_the_plan(business):
    wanted = ["customer_id", "as_of", "horizon_days", "eligible", "stage", "stage_rule", "p_churn"]
    wanted += ["p_churn_low", "p_churn_high", "evidence", "stage_if_inactive"]
    wanted += [f"p_next_{stage}" for stage in STAGES] + [
        "next_stages",
        "reason_1",
        "reason_2",
        "reason_3",
        "warnings",
        "release_id",
    ]
    table = scores(business)
    assert table.column_names == wanted
    assert table["customer_id"].to_pylist() == sorted(set(table["customer_id"].to_pylist()))
    assert set(table["release_id"].to_pylist()) == {business.release.id}


def test_everybody_with_activity_is_scored_and_prospects_have_a_stage_only(business):
    for row in scores(business).to_pylist():
        if row["stage"] == "prospect":
            assert (row["stage_rule"], row["p_churn"], row["reason_1"], row["eligible"]) == (
                2,
                None,
                None,
                False,
            )
        else:
            assert row["p_churn"] is not None
        assert row["eligible"] or row["warnings"]


def test_reasons_are_words_with_a_direction(business):
    said = [row["reason_1"] for row in scores(business).to_pylist() if row["stage"] != "prospect"]
    assert all(text.startswith(("raises the risk: ", "lowers the risk: ")) for text in said)
    assert len(set(said)) > 10


def test_training_rows_equal_batch_rows_exactly(business):
    """200 customers: the row training learned from, and the row the nightly job would have made that day."""
    dates = plan.make_plan(business.history, business.settings)
    made = examples.make_examples(business.history, business.settings, dates)
    at = dates.evaluate[0]
    then = made.at([at])
    known = business.history.as_of(at)
    definitions = business.release.scorer.definitions
    assert definitions == made.definitions
    asked = then["customer_id"].to_pylist()[:200]
    now = build(
        known,
        base=population_stats(known, definitions),
        definitions=definitions,
        columns=business.release.columns,
        customers=asked,
    )
    assert now.equals(then.slice(0, 200).select(now.column_names).combine_chunks())
    assert set(STATE_COLUMNS) < set(now.column_names)


def test_no_realised_stage_ever_had_probability_zero(business):
    dates = plan.make_plan(business.history, business.settings)
    made = examples.make_examples(business.history, business.settings, dates)
    _, nexts = business.release.scorer.score(made.rows)
    outcome = stage_index(made.rows["outcome_stage"].to_numpy())
    assert (nexts[np.arange(len(outcome)), outcome] > 0).all()


def test_a_churner_ends_where_doing_nothing_leads(business):
    dates = plan.make_plan(business.history, business.settings)
    made = examples.make_examples(business.history, business.settings, dates)
    left = made.rows.filter(made.rows["churned"])
    assert left.num_rows > 50
    assert left["outcome_stage"].to_pylist() == left["stage_if_inactive"].to_pylist()


def test_an_immature_window_is_refused(business):
    at = business.history.data_until - (business.settings.churn.horizon_days - 1) * DAY_US
    assert not mature(at, history=business.history, settings=business.settings)
    with pytest.raises(errors.ImmatureWindow, match="data end at"):
        observe(
            business.history,
            business.history.as_of(at),
            definitions=business.release.scorer.definitions,
            settings=business.settings,
        )


def test_the_model_learns_more_than_recency(business):
    eligible = business.trained.evaluation["churn"]["eligible"]
    assert business.trained.status == "ok"
    assert eligible["auroc"] > eligible["baselines"]["recency"]["auroc"] + 0.05
