"""The scores of every business, the examples they were learned from, and what they promise of each
other.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.core import errors
from features.core.instants import DAY_US
from features.engine.build import build
from features.labels.outcomes import is_mature, observe_outcomes
from features.recipes.population_stats import population_stats
from features.recipes.stages import STAGES, STATE_COLUMNS
from serving.batch.writers import with_microseconds
from serving.scoring.over_time import time_columns
from serving.scoring.scorer import stage_index
from tests.support.businesses import scores
from tests.support.checks import nonempty


def test_scores_are_one_distribution(any_business):
    table = scores(any_business)
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
    edge = 1 / (2 * any_business.release.scorer.churn_rows)
    assert ((p >= edge) & (p <= 1 - edge)).all()


def test_the_score_file_has_the_columns_of_the_plan(any_business):
    wanted = ["customer_id", "as_of", "horizon_days", "eligible", "stage", "stage_rule", "p_churn"]
    wanted += ["p_churn_low", "p_churn_high", "evidence", "stage_if_inactive"]
    wanted += [f"p_next_{stage}" for stage in STAGES] + [
        "next_stages",
        *time_columns(any_business.release.config),
        "reason_1",
        "reason_2",
        "reason_3",
        "warnings",
        "release_id",
    ]
    table = scores(any_business)
    assert table.column_names == wanted
    assert table.schema.field("as_of").type == pa.timestamp("us", tz="UTC")
    assert set(with_microseconds(table)["as_of"].to_pylist()) == {any_business.run.as_of}
    assert table.schema.field("next_stages").type == pa.list_(pa.string())
    assert table["customer_id"].to_pylist() == sorted(set(table["customer_id"].to_pylist()))
    assert set(table["release_id"].to_pylist()) == {any_business.release.id}


def test_everybody_with_activity_is_scored_and_prospects_have_a_stage_only(any_business):
    for row in nonempty(scores(any_business).to_pylist()):
        if row["stage"] == "prospect":
            assert (row["stage_rule"], row["p_churn"], row["reason_1"], row["eligible"]) == (
                "no_activity",
                None,
                None,
                False,
            )
        else:
            assert row["p_churn"] is not None
        assert row["eligible"] or row["warnings"]


def test_reasons_are_words_with_a_direction(any_business):
    said = [
        row["reason_1"] for row in scores(any_business).to_pylist() if row["stage"] != "prospect"
    ]
    assert all(
        text.startswith(("raises the risk: ", "lowers the risk: ")) for text in nonempty(said)
    )
    assert len(set(said)) > 10


def test_training_rows_equal_batch_rows_exactly(any_business):
    """200 customers: the row training learned from, and the row the nightly job would have made
    that day.
    """
    made, at = any_business.examples, any_business.dates.evaluate[0]
    then = made.rows_at([at])
    known = any_business.history.as_of(at)
    definitions = any_business.release.scorer.definitions
    assert definitions == made.definitions
    asked = then["customer_id"].to_pylist()[:200]
    now = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=any_business.release.columns,
        customers=asked,
    )
    assert now.equals(then.slice(0, 200).select(now.column_names).combine_chunks())
    assert set(STATE_COLUMNS) < set(now.column_names)


def test_no_realised_stage_ever_had_probability_zero(any_business):
    made = any_business.examples
    _, nexts = any_business.release.scorer.score(made.rows)
    outcome = stage_index(made.rows["outcome_stage"].to_numpy())
    assert (nexts[np.arange(len(outcome)), outcome] > 0).all()


def test_a_churner_ends_where_doing_nothing_leads(any_business):
    made = any_business.examples
    left = made.rows.filter(made.rows["churned"])
    assert left.num_rows > 50
    assert left["outcome_stage"].to_pylist() == left["stage_if_inactive"].to_pylist()


def test_an_immature_window_is_refused(any_business):
    at = any_business.history.data_until - (any_business.settings.churn.horizon_days - 1) * DAY_US
    assert not is_mature(at, history=any_business.history, settings=any_business.settings)
    with pytest.raises(errors.ImmatureWindow, match="data end at"):
        observe_outcomes(
            any_business.history,
            any_business.history.as_of(at),
            definitions=any_business.release.scorer.definitions,
            settings=any_business.settings,
        )


def test_the_model_learns_more_than_recency(any_business):
    eligible = any_business.trained.evaluation["churn"]["eligible"]
    assert any_business.trained.status == "ok"
    assert eligible["auroc"] > eligible["baselines"]["recency"]["auroc"] + 0.05
