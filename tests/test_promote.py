"""CURRENT decides what is served; the aliases follow, at once or later."""

from __future__ import annotations

import pytest

from features.core.errors import StoreFailed
from tests.support.tracking_stores import champion, client, entry, serve
from training.promote import lagging_models, promote, repair
from training.tracking import record, tracking
from training.trained import JOBS

NOWHERE = "http://127.0.0.1:1"
BOTH = ("churn", "next_stage")


def trained(release, **stated):
    return tracking.record_run(entry(release=release, models=BOTH, **stated))


def test_training_makes_a_challenger_and_promotion_a_champion(release_home):
    home, release = release_home
    assert trained(release)
    assert [champion(model, home) for model in BOTH] == [(None, release)] * 2
    promote(release)
    assert [champion(model, home) for model in BOTH] == [(release, release)] * 2
    assert lagging_models() == []


def test_one_version_a_release_however_often_it_is_trained(release_home, trained_shop):
    home, release = release_home
    assert trained(release)
    assert trained(release)
    serve(trained_shop.release)
    serve(trained_shop.release)
    assert sorted((v.name, int(v.version)) for v in client(home).search_model_versions()) == [
        ("churn", 1),
        ("next_stage", 1),
    ]
    assert client(home).get_model_version("churn", "1").tags["release"] == release


def test_a_release_nobody_registered_gets_its_version_when_it_is_served(release_home, trained_shop):
    home, release = release_home
    serve(trained_shop.release)
    assert [champion(model, home) for model in BOTH] == [(release, None)] * 2


@pytest.mark.parametrize("away", [NOWHERE, "postgresql://nobody:secret@127.0.0.1:1/none"])
def test_a_promotion_is_served_with_the_store_away_and_the_alias_follows(
    release_home, trained_shop, monkeypatch, away
):
    home, release = release_home
    assert trained(release)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    serve(trained_shop.release)
    assert (home / "mlruns" / "releases" / "CURRENT").read_text().strip() == release
    with pytest.raises(StoreFailed) as refused:
        repair()
    assert "secret" not in str(refused.value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert champion("churn", home) == (None, release)
    assert lagging_models() == ["churn", "next_stage"]
    assert repair() == ["churn", "next_stage"]
    assert lagging_models() == []
    assert champion("churn", home) == (release, release)


def test_whoever_opens_the_store_next_moves_the_alias(release_home):
    home, release = release_home
    assert trained(release)
    (home / "mlruns" / "releases" / "CURRENT").write_text(
        release + "\n"
    )  # promoted while the store was away
    assert lagging_models() == ["churn", "next_stage"]
    tracking.list_runs()
    assert lagging_models() == []
    client(home).delete_registered_model_alias("churn", "champion")
    assert lagging_models() == ["churn"]
    tracking.record_run(entry())
    assert lagging_models() == []


def test_one_model_trained_alone_registers_both_over_its_release():
    assert record.registered_models("churn", ["churn"]) == BOTH
    assert {model for job in JOBS for model in record.registered_models(job, JOBS)} == set(BOTH)
    assert [len(record.registered_models(job, JOBS)) for job in JOBS] == [1, 1]


def test_no_store_is_made_for_a_promotion_alone(release_home, trained_shop):
    home, _ = release_home
    (home / "mlruns" / "mlflow.db").unlink()
    serve(trained_shop.release)
    assert not (home / "mlruns" / "mlflow.db").exists()
    assert (lagging_models(), repair(), tracking.list_runs()) == ([], [], [])
