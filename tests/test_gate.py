"""The gate: a release that is worse is refused, and served only with a reason that is recorded."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting, PromotionRefused, StoreFailed
from features.core.instants import DAY_US
from serving.release.evaluation_rules import EvaluationFile
from serving.release.file_rules import check_rules
from serving.scoring.parts import Blend, Rate, design_names
from serving.scoring.scorer import Calibration
from tests.support.damaged_home import reseal, rewrite
from tests.support.tracking_stores import client, entry, serve
from training import examples, job, metrics, plan, promote, promotion_log
from training.evaluation import gate
from training.examples import label_rows
from training.silent_feeds import FreshPlan
from training.tracking import record, run_metrics, tracking

BOTH = ("churn", "next_stage")
OLD, OLDER = "01d" * 5 + "0", "01d" * 5 + "1"


@pytest.fixture(scope="module")
def side(trained_shop):
    """The release of the shop and the rows of its evaluation date, with labels."""
    release, settings, history = trained_shop.release, trained_shop.settings, trained_shop.history
    at = trained_shop.dates.evaluate[0]
    rows, _, _ = label_rows(
        history, settings, at, definitions=release.scorer.definitions, columns=release.columns
    )
    return gate.Side(release.scorer, rows, release.columns)


@pytest.fixture(scope="module")
def many_dates(side, trained_shop):
    """The same release and the rows of every date, so that segments have enough of them."""
    release, settings, history = trained_shop.release, trained_shop.settings, trained_shop.history
    rows = [
        label_rows(
            history, settings, at, definitions=release.scorer.definitions, columns=release.columns
        )[0]
        for at in trained_shop.dates.refit
    ]
    return replace(side, rows=pa.concat_tables(rows).combine_chunks())


def compared(ours, theirs):
    return gate.compare(ours, theirs, ours.rows)


def worse(side, **stated):
    return replace(side, scorer=replace(side.scorer, **stated))


def test_a_release_passes_beside_itself(side):
    found = compared(side, side)
    assert (found["verdict"], found["why"], found["same_top_reason"]) == (gate.PASSES, [], 1.0)
    assert found["populations"]["eligible"]["log_loss"]["difference"] == 0
    assert found["next_stage"]["difference"] == 0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_model_that_knows_nothing_is_refused_beside_one_that_knows_and_not_the_other_way_round(
    side,
):
    ignorant = worse(
        side, churn=Blend(((1.0, Rate((0.0,))),)), calibration=Calibration(), status="no_skill"
    )
    found = compared(ignorant, side)
    assert found["verdict"] == gate.REFUSED
    assert found["why"][0].startswith("log loss worse by +")
    assert found["same_top_reason"] is None
    assert compared(side, ignorant)["verdict"] == gate.PASSES


def test_scores_that_are_off_are_refused_for_their_calibration(many_dates):
    bold = worse(many_dates, churn=Blend((*many_dates.scorer.churn.parts, (1.0, Rate((2.5,))))))
    found = compared(bold, many_dates)
    assert [line for line in found["why"] if line.startswith("calibration error ")]
    assert found["worst_slice"]["difference"] > 0
    assert found["worst_slice"]["low"] > 0


def test_reasons_that_nobody_keeps_are_refused(side):
    turned = replace(
        side.scorer.reason_reference,
        mean_contribution=tuple(
            value + 3.0 * (at % 2 == 0)
            for at, value in enumerate(side.scorer.reason_reference.mean_contribution)
        ),
    )
    found = compared(worse(side, reason_reference=turned), side)
    assert found["same_top_reason"] < gate.MIN_REASON_OVERLAP
    assert found["why"] == [
        f"only {found['same_top_reason']:.0%} of eligible customers keep their strongest reason"
    ]


def test_a_worse_next_stage_is_refused_where_stages_are_named_alike(side):
    flat = Blend(((1.0, Rate((0.0,) * len(side.scorer.classes))),))
    found = compared(worse(side, next_stage=flat), side)
    assert (
        found["why"]
        == [
            line
            for line in found["why"]
            if line.startswith("log loss of the next stage worse by +")
        ]
        != []
    )


class Spoiled:
    """A part that says of one stage's customers that they leave, and nothing of the others."""

    def __init__(self, column, margin):
        self.column, self.margin = column, margin

    def margins(self, matrix):
        return self.margin * matrix[:, [self.column]]

    def contributions(self, matrix):
        return np.zeros(matrix.shape)


def test_one_slice_that_got_worse_is_refused_by_name(many_dates):
    side = many_dates
    stage = Counter(side.rows.filter(side.rows["eligible"])["stage"].to_pylist()).most_common(1)[0][
        0
    ]
    at = design_names(side.scorer.columns).index(f"stage={stage}")
    found = compared(
        worse(side, churn=Blend((*side.scorer.churn.parts, (1.0, Spoiled(at, 2.0))))), side
    )
    worst = found["worst_slice"]
    assert (worst["dimension"], worst["name"]) == ("stage", stage)
    assert worst["low"] > 0
    assert any(line.startswith(f"log loss of stage {stage} worse by +") for line in found["why"])
    better = compared(
        side, worse(side, churn=Blend((*side.scorer.churn.parts, (1.0, Spoiled(at, 2.0)))))
    )
    assert better["worst_slice"]["low"] < 0


def test_few_customers_and_nobody_are_not_judged(side):
    for count in (29, 1, 0):
        few = replace(side, rows=side.rows.slice(0, count))
        found = compared(few, few)
        assert (found["verdict"], found["population"]) == (gate.NOT_JUDGED, None)


def test_another_question_is_not_compared_and_the_first_release_passes(trained_shop):
    other = trained_shop.settings.model_copy(
        update={"churn": trained_shop.settings.churn.model_copy(update={"horizon_days": 30})}
    )
    asked = {
        "scorer": None,
        "examples": None,
        "dates": None,
        "history": trained_shop.history,
        "settings": other,
    }
    found = gate.judge(champion=trained_shop.release, fit=None, **asked)
    assert (found["verdict"], found["why"]) == (
        gate.NOT_JUDGED,
        ["not comparable: another horizon"],
    )
    assert gate.judge(champion=None, fit=None, **asked) == {
        "champion": None,
        "verdict": gate.PASSES,
        "why": ["nothing is served yet"],
    }
    assert trained_shop.trained.evaluation["gate"]["verdict"] == gate.PASSES


def test_the_served_release_answers_only_on_outcomes_it_was_never_told(trained_shop):
    release, settings = trained_shop.release, trained_shop.settings
    newest = pq.read_table(release.folder / "population.parquet")["as_of"][0].as_py()
    window = (settings.churn.horizon_days + settings.churn.label_latency_days) * DAY_US
    early, late = newest + window - DAY_US, newest + window
    assert gate._judged_dates(
        release, plan.Plan((), (early, late), ()), settings.outcome_window_us
    ) == (
        gate.AS_SERVED,
        (late,),
    )
    assert gate._judged_dates(release, plan.Plan((), (early,), ()), settings.outcome_window_us) == (
        gate.RECIPE,
        (early,),
    )
    rates = replace(release, evaluation={"status": "not_enough_data"})
    assert gate._judged_dates(rates, plan.Plan((), (early,), ()), settings.outcome_window_us) == (
        gate.SEEN,
        (early,),
    )


def judged(release, verdict, champion, *, status="ok"):
    evaluation = {
        **release.evaluation,
        "gate": {"champion": champion, "verdict": verdict, "why": ["log loss worse"]},
    }
    return replace(release, evaluation=evaluation, scorer=replace(release.scorer, status=status))


def test_what_speaks_against_a_release(trained_shop, home):
    folder = home / "mlruns" / "releases"
    (folder / OLD).mkdir(parents=True)
    release = trained_shop.release
    assert (
        promote.check_promotion(judged(release, gate.REFUSED, OLD)).objections == ()
    )  # nothing is served
    (folder / "CURRENT").write_text(f"{OLD}\n")
    assert promote.check_promotion(judged(release, gate.REFUSED, OLD)).objections == (
        "log loss worse",
    )
    assert promote.check_promotion(judged(release, gate.PASSES, OLD)) == promote.PromotionCheck(
        (), None
    )
    rates = promote.check_promotion(judged(release, gate.PASSES, OLD, status="no_skill"))
    assert rates.verdict == "refused: its status is no_skill: its scores are rates"
    for stale in (OLDER, None):
        found = promote.check_promotion(judged(release, gate.REFUSED, stale))
        assert found.objections == ()
        assert found.verdict.endswith(f"with the served release {OLD}")
    assert "did not judge it" in promote.check_promotion(judged(release, gate.NOT_JUDGED, OLD)).note


@pytest.mark.slow
@pytest.mark.long
def test_without_skill_a_hand_needs_a_reason_and_the_reason_is_recorded(release_home, trained_shop):
    home, name = release_home
    assert tracking.record_run(entry(release=name, models=BOTH))
    serve(trained_shop.release)
    other = home / "mlruns" / "releases" / "copy"
    shutil.copytree(trained_shop.release.folder, other)
    rewrite(other / "models.json", status="no_skill")
    other = reseal(other)
    before = promotion_log.log_path().read_text()
    with pytest.raises(PromotionRefused, match="its scores are rates"):
        promote.promote(other.name)
    for empty in ("", "  ", "two\nlines", "x" * 501):
        with pytest.raises(BadSetting):
            promote.promote(other.name, force=empty)
    assert (promotion_log.log_path().read_text(), promote.served_release_id()) == (before, name)
    found = promote.promote(other.name, force=" the board asked for it ")
    lines = [json.loads(line) for line in promotion_log.log_path().read_text().splitlines()]
    assert [
        (line["release"], line["previous"], line["forced"], line["reason"]) for line in lines
    ] == [(name, None, False, None), (found.id, name, True, "the board asked for it")]
    assert lines[1]["verdict"] == "refused: its status is no_skill: its scores are rates"
    version = client(home).get_model_version_by_alias("churn", "champion")
    assert version.tags["promoted.reason"] == "the board asked for it"
    assert version.tags["promoted.forced"] == "true"


@pytest.mark.long
def test_a_promotion_that_cannot_be_recorded_does_not_happen(release_home):
    _, name = release_home
    promotion_log.log_path().mkdir()
    with pytest.raises(StoreFailed):
        promote.promote(name)
    assert promote.served_release_id() is None


def test_the_store_has_the_verdict_and_the_table(side):
    found = {
        "champion": OLD,
        "champion_scored": gate.RECIPE,
        "as_of": ["2024-01-01"],
        **compared(side, side),
    }
    told = record._gate_tags({"gate": found})
    assert (told["gate"], told["gate.champion"]) == ("passes", OLD)
    assert "  everyone: log loss" in told["gate.table"]
    assert run_metrics._gate_figures(found) == {
        "gate_log_loss_difference": 0.0,
        "gate_same_reasons": 1.0,
    }
    assert gate.lines({}) == []


@pytest.mark.slow
@pytest.mark.long
def test_a_release_with_the_table_of_its_gate_keeps_the_rules_of_its_file(many_dates):
    bold = worse(many_dates, churn=Blend((*many_dates.scorer.churn.parts, (1.0, Rate((2.5,))))))
    few = replace(many_dates, rows=many_dates.rows.slice(0, 1))
    where = {"champion": OLD, "champion_scored": gate.RECIPE, "as_of": ["2024-01-01"]}
    for report in (compared(bold, many_dates), compared(few, few)):
        evaluation = json.loads(json.dumps({"gate": where | report}))
        rules = check_rules(EvaluationFile, evaluation, file="evaluation.json", name=OLD)
        assert rules.gate.verdict == report["verdict"]


def test_a_training_is_judged_beside_the_recipe_of_what_is_served_or_is_that_very_release(
    trained_shop, monkeypatch
):
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
    history, settings, served = trained_shop.history, trained_shop.settings, trained_shop.release
    dates = trained_shop.dates
    dates = replace(dates, train=dates.train[-2:], refit=())
    run = job.TrainingRun(history, settings)
    run.fresh_plan = FreshPlan(dates, (), ())
    run.examples = examples.make_examples(history, settings, dates)
    idle = replace(served.scorer, churn=Blend(((1.0, Rate((0.0,))),)), calibration=Calibration())
    run.eval_scorer = run.final_scorer = idle
    found = run.gate_section["gate"]
    assert (found["champion"], found["champion_scored"], found["verdict"]) == (
        served.id,
        gate.RECIPE,
        gate.REFUSED,
    )
    assert found["as_of"] == trained_shop.trained.evaluation["as_of"]["evaluate"]
    run.final_scorer = served.scorer
    again = run.gate_section
    assert again == {"gate": served.evaluation["gate"]}


@pytest.mark.long
@pytest.mark.slow
def test_a_release_of_long_ago_is_judged_as_it_was_served(trained_shop, store_home):
    """Trained where the data ended half a year earlier, promoted, and half a year later beside its
    successor.
    """
    history, settings = trained_shop.history, trained_shop.settings
    quick = settings.training.model_copy(update={"trials": 1, "max_dates": 4})
    settings = settings.model_copy(update={"training": quick})
    early = plan.truncated_at(history, history.data_until - 200 * DAY_US)
    old = promote.promote(job.train(early, settings).folder.name, force="the first")
    found = job.train(history, settings).evaluation["gate"]
    assert (found["champion"], found["champion_scored"]) == (old.id, gate.AS_SERVED)
    assert found["population"] == "eligible"
    at = plan.make_plan(history, settings).evaluate
    rows, _, _ = label_rows(
        history, settings, at[0], definitions=old.scorer.definitions, columns=old.columns
    )
    p, mine = old.scorer.score(rows)[0], rows["eligible"].to_numpy()
    said = metrics.log_losses(rows["churned"].to_numpy()[mine], p[mine]).mean()
    assert len(at) == 1
    assert found["populations"]["eligible"]["log_loss"]["champion"] == pytest.approx(
        said, abs=1e-12
    )
