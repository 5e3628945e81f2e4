"""Training of own targets: the model of churn where the question is that of churn, figures beside
baselines, a release that holds them, and no target that changes another model.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core import errors
from features.labels.targets import label_column
from serving.release.release import load_release
from serving.scoring.over_time import time_columns
from serving.scoring.sub_releases import SubRelease
from serving.scoring.targets import LEAK, NO_SKILL, NOT_ENOUGH_DATA, OK
from tests.support.checks import nonempty
from tests.support.damaged_home import reseal
from tests.support.targets import with_targets
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits
from training.reports import summary
from training.reports.target_text import target_lines
from training.targets import fit_targets
from training.tracking.pending import RunRecord
from training.tracking.target_records import target_records


def by_name(release):
    return {target.name: target for target in release.targets}


def test_the_question_of_churn_has_the_probabilities_of_churn(trained_targets):
    release, plan = trained_targets.release, trained_targets.dates
    rows = trained_targets.bare_examples.rows_at((*plan.train, *plan.evaluate, *plan.refit))
    gone = by_name(release)["gone"]
    assert gone.status == release.scorer.status == OK
    assert np.array_equal(gone.p(rows), release.scorer.p_churn(rows))
    evaluation = trained_targets.trained.evaluation
    assert evaluation["targets"]["gone"]["model"] == evaluation["models"]["churn"]


def test_each_target_has_its_status(trained_targets):
    report, models = trained_targets.trained.evaluation["targets"], by_name(trained_targets.release)
    expected = {
        "coin": NO_SKILL,
        "complains": OK,
        "gone": OK,
        "nobody": NOT_ENOUGH_DATA,
        "same": NO_SKILL,
        "spend": OK,
    }
    assert {name: each["status"] for name, each in report.items()} == expected
    assert {name: each.status for name, each in models.items()} == expected
    rows = trained_targets.bare_examples.rows_at(trained_targets.dates.evaluate)
    coin = models["coin"].p(rows)
    assert len(np.unique(coin)) <= 2  # a rate for the eligible and one for the others
    assert np.all(np.abs(coin - 0.5) < 0.1)
    assert np.isnan(models["nobody"].p(rows)).all()
    assert "0 of" in report["nobody"]["why"]
    complains = models["complains"].p(rows)
    assert np.array_equal(np.isnan(complains), ~rows["eligible"].to_numpy())


def test_figures_have_population_baselines_and_intervals(trained_targets):
    report = trained_targets.trained.evaluation["targets"]
    assert set(report["gone"]["figures"]) == {"everyone", "eligible"}
    assert set(report["complains"]["figures"]) == {"eligible"}
    for name, who in (("gone", "everyone"), ("complains", "eligible")):
        figures = report[name]["figures"][who]
        assert set(figures["baselines"]) == {
            "base rate",
            "recency",
            "RFM logistic",
            "own past rate",
        }
        assert figures["auroc_low"] < figures["auroc"] < figures["auroc_high"]
        assert set(figures["paired_log_loss"]) == set(figures["baselines"])
        assert figures["baseline_comparison"]["verdict"]
    churn = trained_targets.trained.evaluation["churn"]["everyone"]
    for name in ("rows", "rate", "auroc", "auroc_low", "log_loss", "ece"):
        assert report["gone"]["figures"]["everyone"][name] == churn[name]


def test_text_and_card_say_what_each_target_is_worth(trained_targets):
    trained = trained_targets.trained
    texts = (
        summary.training_text(trained.evaluation),
        (trained.folder / "card.md").read_text(),
    )
    for text in texts:
        for name in ("p_gone", "p_complains", "p_coin", "p_nobody"):
            assert name in text
        assert "not enough data among everyone: 0 of" in text.replace("Not", "not")
        assert "No skill" in text
        assert "95 % CI" in text
        assert "customers who came later" in text


def test_each_target_has_a_run_of_its_own(trained_targets, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_targets.home))
    trained = trained_targets.trained
    assert set(trained.runs) == {
        "churn",
        "next-stage",
        *(f"target-{name}" for name in trained.evaluation["targets"]),
    }
    assert all(trained.runs.values())


def test_other_targets_change_nothing(trained_targets):
    """Churn, next stage and a target are the same with and without other targets."""
    plan, made = trained_targets.dates, trained_targets.examples
    alone = with_targets(
        trained_targets.settings, complains=trained_targets.settings.targets["complains"]
    )
    with reproducible_fits(), remember_fits():
        (fitted,) = fit_targets(made, plan, trained_targets.history, alone)
    rows = made.rows_at(plan.evaluate)
    expected = by_name(trained_targets.release)["complains"]
    assert np.array_equal(fitted.model.p_of_all(rows), expected.p_of_all(rows))


def test_labels_of_later_dates_change_neither_search_nor_evaluated_model(trained_targets):
    plan, made = trained_targets.dates, trained_targets.examples
    column, history = label_column("complains"), trained_targets.history
    config = with_targets(
        trained_targets.settings, complains=trained_targets.settings.targets["complains"]
    )
    later = made.rows["as_of"].to_numpy() > max(plan.train)
    flipped = made.rows[column].to_numpy() ^ later
    rows = made.rows.set_column(made.rows.column_names.index(column), column, pa.array(flipped))
    with reproducible_fits(), remember_fits():
        (before,) = fit_targets(made, plan, history, config)
        (after,) = fit_targets(replace(made, rows=rows), plan, history, config)
    assert before.spec == after.spec
    assert before.report["calibration"] == after.report["calibration"]
    ours, theirs = (each.report["figures"]["eligible"]["reliability"] for each in (before, after))
    assert [each["predicted"] for each in ours] == [each["predicted"] for each in theirs]
    assert [each["observed"] for each in ours] != [each["observed"] for each in theirs]


def test_a_column_that_knows_the_label_costs_the_target_its_model(trained_targets):
    """The label is read from a column whose table has no clock of its own: nobody can say when."""
    plan, made = trained_targets.dates, trained_targets.examples
    column = label_column("complains")
    name = next(each for each in made.modelled if each.startswith("complaints"))
    knows = made.rows[column].cast(pa.float64())
    rows = made.rows.set_column(made.rows.column_names.index(name), name, knows)
    config = with_targets(
        trained_targets.settings, complains=trained_targets.settings.targets["complains"]
    )
    with reproducible_fits(), remember_fits():
        (fitted,) = fit_targets(replace(made, rows=rows), plan, trained_targets.history, config)
    assert fitted.model.status == fitted.report["status"] == LEAK
    assert fitted.model.blend is None
    assert name in fitted.report["why"]
    assert "recorded_at" in fitted.report["why"]


def test_a_release_holds_its_targets_without_pickle_and_with_golden_rows(trained_targets):
    folder = trained_targets.trained.folder
    files = json.loads((folder / "manifest.json").read_text())["files"]
    of_targets = [name for name in files if name.startswith("targets/")]
    assert {name.split("/")[1] for name in nonempty(of_targets)} == set(
        by_name(trained_targets.release)
    )
    assert {name.rsplit(".", 1)[1] for name in of_targets} == {"json", "ubj"}
    loaded = load_release(folder)
    rows = pq.read_table(folder / "golden" / "rows.parquet")
    for each in (SubRelease((), loaded.scorer, loaded.targets), *nonempty(loaded.sub_releases)):
        place = f"without-{each.name}" if each.lacks else ""
        golden = pq.read_table(
            folder / "golden" / f"{'-'.join(filter(None, ['scores', place]))}.parquet"
        )
        answers = [pair for target in each.targets for pair in target.answers_of_all(rows).items()]
        assert golden.column_names[-12:] == [name for name, _ in answers]
        for name, values in answers:
            assert np.array_equal(values, golden[name].to_numpy(), equal_nan=True)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("status",), "perfect"),
        (("status",), "not_enough_data"),
        (("population",), "eligible"),
        (("name",), "other"),
        (("rows",), -1),
        (("columns", 0), "nothing"),
        (("blend",), None),
        (("blend",), []),
        (("blend", 0, "weight"), 0.9),
        (("blend", 0, "intercept"), [0.0, 1.0]),
        (("blend", 1, "file"), "../churn-1.ubj"),
        (("calibration", "low"), -1.0),
        (("rows",), 7),
    ],
)
def test_a_broken_target_is_refused(trained_targets, tmp_path, keys, value):
    folder = tmp_path / trained_targets.trained.folder.name
    shutil.copytree(trained_targets.trained.folder, folder)
    file = folder / "targets" / "gone" / "model.json"
    model = json.loads(file.read_text())
    *path, last = keys
    place = model
    for key in path:
        place = place[key]
    place[last] = value
    file.write_text(json.dumps(model))
    with pytest.raises(errors.ReleaseRefused):
        load_release(reseal(folder))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("status",), "not_enough_data"),
        (("population",), "eligible"),
        (("columns", 0), "nothing"),
        (("mean",), None),
        (("mean", "link"), "sqrt"),
        (("mean", "factor"), 0.0),
        (("mean", "factor"), 1.5),  # its golden rows say so
        (("mean", "blend", 0, "weight"), 0.0),
        (("quantile", "part", 0, "file"), "mean-1.ubj"),
        (("quantile", "part", 0, "file"), "../quantiles-0.ubj"),
        (("quantile", "moves"), [0.0, 0.0]),
        (("quantile", "moves", 2), 1.0),
        (("scale", "unit"), 0.0),
        (("scale", "low"), 1e12),
        (("rows",), -1),
    ],
)
def test_a_broken_amount_is_refused(trained_targets, tmp_path, keys, value):
    folder = tmp_path / trained_targets.trained.folder.name
    shutil.copytree(trained_targets.trained.folder, folder)
    file = folder / "targets" / "spend" / "model.json"
    model = json.loads(file.read_text())
    *path, last = keys
    place = model
    for key in path:
        place = place[key]
    place[last] = value
    file.write_text(json.dumps(model))
    with pytest.raises(errors.ReleaseRefused):
        load_release(reseal(folder))


def test_an_amount_has_figures_baselines_and_a_run_with_its_metrics(trained_targets):
    report = trained_targets.trained.evaluation["targets"]["spend"]
    for figures in nonempty(report["figures"].values()):
        assert set(figures["baselines"]) == {"mean", "own past amounts", "ridge"}
        assert figures["gain_over_mean"]["low"] <= figures["gain_over_mean"]["gain"]
        assert figures["coverage"] >= 0.7
        assert abs(figures["total_error"]) < 0.3
    training = RunRecord("churn", metrics={"seconds": 1.0})
    (record,) = target_records(training, {"spend": report}, {"spend": None})
    assert record.metrics["everyone_gain_over_mean_low"] > 0
    assert record.metrics["everyone_mae"] == report["figures"]["everyone"]["mae"]
    assert record.tags["best_baseline"] in report["figures"]["everyone"]["baselines"]
    assert "Tweedie deviance on dates not trained on" in record.tags["mlflow.note.content"]


def test_text_and_card_give_the_figures_of_an_amount(trained_targets):
    evaluation = trained_targets.trained.evaluation
    text = "\n".join(target_lines(evaluation))
    card = (trained_targets.trained.folder / "card.md").read_text()
    for written in (text, card):
        assert "spend_expected, spend_q10 … _q90" in written
        assert "of the mean's Tweedie deviance (95 % CI" in written
        assert "The mean and the quantiles of the training rows are served" in written
    assert "| own past amounts |" in card


def test_a_release_without_a_configured_target_is_refused(trained_targets, tmp_path):
    folder = tmp_path / trained_targets.trained.folder.name
    shutil.copytree(trained_targets.trained.folder, folder)
    shutil.rmtree(folder / "targets" / "coin")
    with pytest.raises(errors.ReleaseRefused):
        load_release(reseal(folder))


def test_a_business_without_targets_has_the_release_that_it_always_had(trained_shop):
    features = json.loads((trained_shop.release.folder / "features.json").read_text())
    assert "targets" not in features["config"]
    assert "targets" not in trained_shop.trained.evaluation
    assert not (trained_shop.release.folder / "targets").exists()
    golden = pq.read_schema(trained_shop.release.folder / "golden" / "scores.parquet").names
    over_time = time_columns(trained_shop.release.config)
    others = [name for name in golden if not name.startswith("p_next_") and name not in over_time]
    assert others == ["customer_id", "p_churn"]
