"""Small and hopeless data: rates instead of a model, said so; from one customer on."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalogue import FAMILIES
from features.core.errors import NotEnoughData
from features.recipes.stages import STAGES
from lifecycle.commands import run
from serving.release import blend_files
from serving.scoring.parts import Blend, design_matrix, sigmoid
from serving.scoring.rates import LEVELS, Rates
from tests.support.command_line import write_shop
from tests.support.tracking_stores import serve
from training import metrics, promote, promotion_log, rates_job
from training.fitting import with_status
from training.models import churn, fit_rates
from training.reports.scores_text import scores_text

COLUMNS = ("segment_big", "past_retention_rate", "past_windows")


def part(**stated):
    stage = np.zeros((2 * len(STAGES), 2))
    stage[STAGES.index("loyal")] = (6, 30)
    stage[len(STAGES) + STAGES.index("loyal")] = (1, 30)
    return Rates(
        **{
            "everyone": 0.5,
            "segment": np.array([[5.0, 10.0]]),
            "eligibility": np.zeros((2, 2)),
            "stage": stage,
            "segment_columns": (0,),
            "eligible_column": None,
            "eligible_most": 90.0,
            "stage_start": 3,
            "own_past_columns": (1, 2),
            "prior_strength": (10.0, 10.0, 10.0, 20.0),
            **stated,
        }
    )


def rows(*stated):
    """(segment, windows, of these with activity, stage) a row."""
    return pa.table(
        {
            "segment_big": [float(one[0]) for one in stated],
            "past_retention_rate": [
                None if one[1] is None else (one[2] + 1) / (one[1] + 2) for one in stated
            ],
            "past_windows": pa.array([one[1] for one in stated], pa.float64()),
            "stage": [one[3] for one in stated],
            "stage_if_inactive": ["at_risk"] * len(stated),
        }
    )


def said(found, table):
    matrix = design_matrix(table, COLUMNS)
    return sigmoid(found.margins(matrix)[:, 0]).tolist(), [
        LEVELS[at] for at in found.finest_level(matrix)
    ]


def test_a_rate_stands_on_the_next_coarser_one():
    p, level = said(
        part(),
        rows(
            (0, None, 0, "new"),
            (1, None, 0, "new"),
            (0, None, 0, "loyal"),
            (0, 20, 20, "loyal"),
            (1, 5, 0, "loyal"),
        ),
    )
    segment = (5 + 10 * 0.5) / 20
    stage, in_segment = (6 + 10 * 0.5) / 40, (6 + 10 * segment) / 40
    assert p == pytest.approx(
        [0.5, segment, stage, 20 * stage / 40, (5 + 20 * in_segment) / 25], abs=1e-12
    )
    assert level == ["everyone", "segment", "stage", "own_past", "stage"]


def test_who_fell_silent_has_no_rate_of_their_own_past():
    """Twenty windows with activity, and then none for long: the past does not bring them back."""
    of_stage = np.zeros((2 * len(STAGES), 2))
    rates = part(
        eligible_column=2,
        own_past_columns=(2, 2),
        eligibility=np.array([[99.0, 100.0], [10.0, 100.0]]),
        stage=of_stage,
        segment=np.zeros((1, 2)),
    )
    _, level = said(rates, rows((0, 90, 0, "new"), (0, 91, 0, "new")))
    assert level == ["own_past", "eligibility"]


def test_who_is_eligible_has_the_rate_of_the_eligible():
    """Of 100 eligible rows 4 left, of 50 others 40: nobody is given the rate of both."""
    rates = part(
        eligible_column=2,
        eligibility=np.array([[40.0, 50.0], [4.0, 100.0]]),
        segment=np.zeros((1, 2)),
        stage=np.zeros((2 * len(STAGES), 2)),
        own_past_columns=(),
    )
    table = rows((0, 90, 0, "new"), (0, 91, 0, "new"), (0, None, 0, "new"))
    p, level = said(rates, table)
    others = (40 + 10 * 0.5) / 60
    assert p == pytest.approx([(4 + 10 * 0.5) / 110, others, others], abs=1e-12)
    assert set(level) == {"eligibility"}
    p, _ = said(
        part(eligible_column=2, own_past_columns=()),
        rows((0, 90, 0, "loyal"), (0, 91, 0, "loyal")),
    )
    assert p == pytest.approx([(1 + 5) / 40, (6 + 5) / 40], abs=1e-12)


def test_without_skill_the_covered_get_the_rate_of_the_covered(trained_subscriptions, trained_shop):
    for business in (trained_subscriptions, trained_shop):
        table = pq.read_table(business.run.folder / "features.parquet")
        eligible = table["eligible"].to_numpy()
        assert 0.02 < eligible.mean() < 0.98
        left = np.where(eligible, np.arange(len(eligible)) % 20 == 0, True)
        labelled = table.append_column("churned", pa.array(left))
        scorer = with_status("no_skill", business.release.scorer, labelled)
        p = scorer.p_churn(table)
        assert len(np.unique(p)) == 2
        assert p[eligible] == pytest.approx(left[eligible].mean(), abs=0.06)
        assert (p[~eligible] > 0.8).all()
        assert set(scorer.rate_levels(table)) == {"eligibility"}


def test_a_row_alone_gets_what_it_gets_among_others_and_a_release_keeps_it(tmp_path):
    table = rows((0, 3, 1, "new"), (1, None, 0, "loyal"), (1, 40, 2, "dormant"))
    blend = Blend(((1.0, part()),))
    read = blend_files.read_blend(
        json.loads(json.dumps(blend_files.write_blend(blend, "churn", tmp_path))), tmp_path, ()
    )
    together = blend.margins(design_matrix(table, COLUMNS))
    assert np.array_equal(read.margins(design_matrix(table, COLUMNS)), together)
    alone = np.concatenate(
        [read.margins(design_matrix(table.slice(at, 1), COLUMNS)) for at in range(3)]
    )
    assert np.array_equal(alone, together)


def test_rates_are_counted_and_the_own_past_is_left_out_with_contracts(
    trained_shop, trained_subscriptions
):
    for business, own in ((trained_shop, True), (trained_subscriptions, False)):
        table = pq.read_table(business.run.folder / "features.parquet")
        left = np.arange(table.num_rows) % 3 == 0
        labelled = table.append_column("churned", pa.array(left))
        found = fit_rates.fit_rates(
            labelled,
            business.release.scorer.columns,
            business.release.scorer.definitions,
            contractual=business.settings.contractual,
        )
        first = found.parts[0][1]
        assert first.everyone == (left.sum() + 1) / (len(left) + 2)
        assert first.eligibility[:, 1].tolist() == [
            (~table["eligible"].to_numpy()).sum(),
            table["eligible"].to_numpy().sum(),
        ]
        assert (first.stage[:, 1].sum(), first.stage[:, 0].sum()) == (len(left), left.sum())
        assert bool(first.own_past_columns) is own
        assert len(first.segment_columns) == sum(
            name.startswith("segment") for name in business.release.scorer.columns
        )
        p = sigmoid(first.margins(design_matrix(table, business.release.scorer.columns))[:, 0])
        assert ((p > 0) & (p < 1)).all()


def test_one_customer_with_a_few_purchases_has_a_stage_a_rate_and_the_marks(tmp_path, store_home):
    config = write_shop(
        tmp_path,
        [("only", day, 5) for day in ("2024-01-05", "2024-02-01", "2024-03-05", "2024-05-20")],
    )
    done = run.run(config)
    [row] = pq.read_table(done.batch.folder / "scores.parquet").to_pylist()
    # The purchase of the last day, the newest row, counts.
    assert (done.value["status"], row["stage"]) == ("not_enough_data", "loyal")
    assert 0 < row["p_churn"] < 1
    assert sum(row[f"p_next_{stage}"] for stage in STAGES) == pytest.approx(1)
    assert {"not_enough_data", "rate_of:everyone"} <= set(row["warnings"])
    assert "1 by the rate of everyone" in done.text
    line = promotion_log.find_promotion(done.value["release"])
    assert (line["forced"], line["reason"]) == (False, "lifecycle run: nothing better is served")
    assert "only" not in promotion_log.log_path().read_text()


def test_everybody_s_mark_is_counted_in_the_summary(trained_shop, tmp_path):
    table = pq.read_table(trained_shop.run.folder / "scores.parquet")
    assert "by the rate of" not in scores_text(trained_shop.run.folder)
    marks = [
        ["not_enough_data", f"rate_of:{('stage', 'own_past')[at % 2]}"]
        for at in range(table.num_rows)
    ]
    at = table.column_names.index("warnings")
    pq.write_table(table.set_column(at, "warnings", pa.array(marks)), tmp_path / "scores.parquet")
    half = table.num_rows // 2
    assert "no better than chance" not in scores_text(tmp_path)
    assert (
        f"{half:,} by the rate of their own past, {table.num_rows - half:,} by the rate of the"
        " stage" in scores_text(tmp_path)
    )


def test_a_run_keeps_a_release_that_is_ok_and_replaces_one_that_is_not(trained_shop, release_home):
    _, name = release_home
    serve(trained_shop.release)
    history, why = (
        trained_shop.history,
        NotEnoughData(where="here", got="too little", rule="More.", fix="Wait."),
    )
    stated = trained_shop.settings.model_copy(
        update={"training": trained_shop.settings.training.model_copy(update={"max_dates": 1})}
    )
    small = rates_job.train_rates(history, stated, why)
    choice = run.choose_release(small, history, stated)
    served, kept = choice.release, choice.kept_because
    assert (served.id, promote.served_release_id()) == (name, name)
    assert kept == ["its status is not_enough_data: its scores are rates"]
    off = [family for family in FAMILIES if family != "recency"]
    other = stated.model_copy(update={"features": stated.features.model_copy(update={"off": off})})
    moved = rates_job.train_rates(history, other, why)
    assert run.choose_release(moved, history, other).release.id == moved.folder.name
    assert (
        promotion_log.find_promotion(moved.folder.name)["reason"]
        == "lifecycle run: the release served is for another configuration"
    )
    # What is served can no longer score for the first configuration: anything that can is better.
    assert run.choose_release(small, history, stated).release.id == small.folder.name


def test_the_rows_of_few_customers_are_not_enough_however_many():
    """A few customers at many dates look like many rows, and fit any model perfectly."""

    def rows(leavers, dates=12):
        ids = [f"c{who}" for who in range(leavers + 20) for _ in range(dates)]
        left = [who < leavers for who in range(leavers + 20) for _ in range(dates)]
        return pa.table({"customer_id": ids, "churned": left, "eligible": [True] * len(ids)})

    churn.refuse_too_few(rows(10))
    with pytest.raises(NotEnoughData, match=r"108 left \(9 customers\)"):
        churn.refuse_too_few(rows(9))


@pytest.mark.parametrize(("each", "low"), [(3, 0.292), (30, 0.884), (1000, 0.996)])
def test_a_perfect_order_of_few_rows_is_no_certainty(each, low):
    y = np.repeat([True, False], each)
    up, down = np.arange(2 * each)[::-1], np.arange(2 * each)
    assert metrics.auroc_interval(y, up) == (1.0, pytest.approx(low, abs=5e-4), 1.0)
    assert metrics.auroc_interval(y, down) == (0.0, 0.0, pytest.approx(1 - low, abs=5e-4))
    assert metrics.churn_metrics(y, np.where(y, 0.9, 0.1))["auroc_low"] < 1


def test_rates_for_want_of_a_silent_table_say_so(trained_shop, tmp_path):
    """The model has skill, but the one that does without the silent table has none."""
    table = pq.read_table(trained_shop.run.folder / "scores.parquet")
    marks = [["without:interactions", "no_skill", "rate_of:eligibility"]] * table.num_rows
    at = table.column_names.index("warnings")
    pq.write_table(table.set_column(at, "warnings", pa.array(marks)), tmp_path / "scores.parquet")
    text = scores_text(tmp_path)
    assert "the model without the silent tables is no better than chance" in text
    assert "scored without interactions" in text
