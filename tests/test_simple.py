"""Where the ladder recommends a simpler churn model, `[training] churn_model` makes a whole release
of it.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from features.core import config_schema
from features.core.errors import BadSetting
from serving.release import release as releases
from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.parts import Linear
from tests.support.checks import nonempty
from training import fitting, job, promote
from training.evaluation import baseline_comparison
from training.models import blend_search, blending, simpler_models
from training.reports import card
from training.splits import Folds


@pytest.fixture(scope="module")
def stated(trained_subscriptions):
    training = trained_subscriptions.settings.training.model_copy(
        update={"churn_model": "RFM logistic", "trials": 1, "max_dates": 4}
    )
    return trained_subscriptions.settings.model_copy(update={"training": training})


@pytest.fixture(scope="module")
def kept(tmp_path_factory, empty_store):
    home = tmp_path_factory.mktemp("simple")
    (home / "mlruns").mkdir()
    shutil.copyfile(empty_store, home / "mlruns" / "mlflow.db")
    return home


@pytest.fixture(scope="module")
def made(stated, trained_subscriptions, kept):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(kept))
        return job.train(trained_subscriptions.history, stated)


@pytest.mark.slow
@pytest.mark.long
def test_its_score_of_churn_knows_four_columns_and_no_other(made):
    scorer = releases.load_release(made.folder).scorer
    assert [type(part) for _, part in scorer.churn.parts if not isinstance(part, CannotChurn)] == [
        Linear
    ]
    matrix = np.random.default_rng(0).gamma(1.0, 30.0, (50, len(scorer.columns) + 14))
    named = np.isin([*scorer.columns, *[""] * 14], simpler_models.COLUMNS["RFM logistic"])
    part = scorer.churn.parts[0][1]
    assert named.sum() == 4
    for other in (
        np.random.default_rng(1).gamma(1.0, 30.0, matrix.shape),
        np.full(matrix.shape, np.nan),
    ):
        assert np.array_equal(part.margins(matrix), part.margins(np.where(named, matrix, other)))
    for at in nonempty(np.flatnonzero(named)):
        moved = matrix.copy()
        moved[:, at] = np.quantile(matrix[:, at], 0.9)
        assert not np.array_equal(part.margins(matrix), part.margins(moved))


@pytest.mark.slow
@pytest.mark.long
def test_it_is_a_release_like_any_other(made, stated, kept, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(kept))
    found = made.evaluation["models"]["churn"]
    assert (found["model"], found["columns"], found["weight"]) == (
        "RFM logistic",
        simpler_models.COLUMNS["RFM logistic"],
        0.0,
    )
    assert made.evaluation["models"]["next-stage"]["model"] == "blend"
    release = promote.promote(made.folder.name)
    assert (made.status, release.scorer.status) == ("ok", "ok")
    assert "The churn model is the simpler RFM logistic" in card.card_text(
        release.scorer, made.evaluation, stated
    )
    assert fitting.specs_of(release, stated)["churn"].columns == list(
        simpler_models.COLUMNS["RFM logistic"]
    )  # what the gate refits
    section = made.evaluation["churn"]["everyone"]
    assert section["auroc"] == pytest.approx(
        section["baselines"]["RFM logistic"]["auroc"], abs=0.05
    )


@pytest.mark.slow
@pytest.mark.long
def test_a_release_says_that_it_is_what_is_recommended_or_how_to_have_it(made):
    account = dict(made.evaluation)
    told = {"population": "everyone", "recommended": "RFM logistic", "verdict": "…"}
    account["recommendation"] = {"churn": told, "next_stage": None}
    assert baseline_comparison.lines(account)[0].endswith("This release serves it")
    account["recommendation"] = {
        "churn": told | {"recommended": baseline_comparison.OURS},
        "next_stage": None,
    }
    assert baseline_comparison.lines(account)[0].endswith("which here is RFM logistic")
    account |= {
        "models": {"churn": {"model": "blend"}},
        "recommendation": {"churn": told, "next_stage": None},
    }
    assert baseline_comparison.lines(account)[0].endswith(
        'This release serves our model; set churn_model = "RFM logistic" under [training] to train'
        " that one"
    )


def test_the_setting_is_one_of_three_and_needs_its_column():
    assert set(simpler_models.COLUMNS) | {simpler_models.BLEND} == set(config_schema.CHURN_MODELS)
    with pytest.raises(BadSetting, match="recency"):
        simpler_models.columns_of("recency", ("tenure",))
    assert simpler_models.columns_of("RFM logistic", ("tenure", "recency", "x")) == (
        "recency",
        "tenure",
    )


def test_what_is_left_out_of_the_search_is_told():
    rng = np.random.default_rng(2)
    matrix = rng.gamma(1, 10, (400, 2))
    labels = (rng.random(400) < 1 / (1 + np.exp(2 - np.log1p(matrix[:, 0])))).astype(int)
    folds = Folds(((np.arange(200), np.arange(200, 400)),), "forward in time")
    found = blend_search.simple_model_spec(
        "recency",
        matrix,
        labels,
        names=("recency", "noise"),
        columns=("recency", "noise"),
        folds=folds,
    )
    assert found.losses["blend"] == found.losses["ridge"] < np.log(2)
    blend = blending.fit_blend(found, matrix, labels, names=("recency", "noise"), outputs=1, seed=7)
    [(share, part)] = blend.parts
    assert share == 1.0
    assert part.weights[0][0] > 0
    assert part.weights[0][1] == 0
    assert found.trials == ()
