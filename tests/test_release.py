"""A release of both kinds of business: refused when it differs or is damaged, equal when made
again.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.core import errors
from features.recipes.population_stats import PopulationStats
from serving.batch import run_folders
from serving.batch.writers import with_microseconds
from serving.release import release
from serving.scoring.calibration import Calibration
from tests.support.businesses import scores
from tests.support.checks import nonempty
from tests.support.tracking_stores import serve
from training import job
from training.promote import promote

# What does not depend on the kind of business is tested on one.
of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)


def test_a_release_scores_only_under_its_configuration(at_home):
    b = at_home
    other = b.settings.model_copy(
        update={"churn": b.settings.churn.model_copy(update={"horizon_days": 45})}
    )
    with pytest.raises(errors.ReleaseRefused, match="differs in churn"):
        run_folders.score_batch(b.history, other, b.release, as_of=b.run.as_of)


@of_the_shop
@pytest.mark.parametrize("damage", ["change", "remove", "add", "shorten"])
def test_a_damaged_release_is_refused(at_home, tmp_path, monkeypatch, damage):
    folder = tmp_path / "home" / "mlruns" / "releases" / at_home.release.id
    shutil.copytree(at_home.release.folder, folder)
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "home"))
    serve(at_home.release)
    file = folder / "models.json"
    if damage == "change":
        file.write_text(file.read_text().replace("1", "2", 1))
    elif damage == "remove":
        file.unlink()
    elif damage == "add":
        (folder / "extra.txt").write_text("x")
    else:
        file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(errors.ReleaseRefused, match="not as they were written"):
        release.load_release(folder)
    with pytest.raises(errors.ReleaseRefused):
        promote(folder.name)


@of_the_shop
@pytest.mark.parametrize("other", [release.FORMAT - 1, release.FORMAT + 1, "3", None])
def test_a_release_of_another_format_is_refused_with_train_again(at_home, tmp_path, other):
    folder = tmp_path / at_home.release.id
    shutil.copytree(at_home.release.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": other}))
    with pytest.raises(
        errors.ReleaseRefused, match=f"releases of format {release.FORMAT}"
    ) as caught:
        release.load_release(folder)
    assert caught.value.fix == (
        "Train again: `lifecycle run` (or `lifecycle train`, then `lifecycle promote`)."
    )


def forged(source, folder, **added):
    """A consistent folder: numbers added to those of the calibration, and every hash made to
    fit.
    """
    shutil.copytree(source, folder)
    models = json.loads((folder / "models.json").read_text())
    for name, by in added.items():
        models["calibration"][name] += by
    (folder / "models.json").write_text(json.dumps(models))
    files = release.hash_files(folder)
    about = json.loads((folder / "manifest.json").read_text()) | {
        "files": files,
        "id": release.content_id(files),
    }
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder


def test_golden_scores_that_come_out_otherwise_stop_a_release(at_home, tmp_path):
    """The hashes fit (somebody wrote a consistent folder), and still the numbers do not."""
    folder = forged(at_home.release.folder, tmp_path / "forged", shift=1e-6)
    with pytest.raises(errors.ReleaseRefused, match="golden scores"):
        release.load_release(folder)


def test_a_calibration_that_turns_customers_round_is_refused(at_home, tmp_path):
    folder = forged(at_home.release.folder, tmp_path / "forged", low=-100.0)
    with pytest.raises(errors.ReleaseRefused, match=r"calibration\.low: input should"):
        release.load_release(folder)


@of_the_shop
@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        Calibration("platt", 0.7, 0.7, 0.1 + 0.2),
        Calibration("beta", 1 / 3, 2.1, -0.4),
        Calibration(
            "isotonic",
            0.9,
            0.9,
            0.0,
            (-2.1, 0.3, 1.7),
            (-1.9, 0.1, 1 / 3),
            note="isotonic: as told",
        ),
    ],
)
def test_every_kind_of_calibration_comes_back_from_a_release_bit_for_bit(
    at_home, monkeypatch, tmp_path, calibration
):
    b = at_home
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "home"))
    scorer = replace(b.release.scorer, calibration=calibration)
    base = PopulationStats(**pq.read_table(b.release.folder / "population.parquet").to_pylist()[0])
    folder = release.write_release(
        scorer,
        all_columns=b.release.columns,
        settings=b.settings,
        tables=b.release.tables,
        population=base,
        evaluation={},
        cards=dict.fromkeys(("card.md", "card.zh.md"), ""),
        times={},
    )
    loaded = release.load_release(folder).scorer
    rows = pq.read_table(folder / "golden" / "rows.parquet")
    assert (loaded.calibration, loaded.calibration.note) == (calibration, calibration.note)
    assert np.array_equal(loaded.p_churn(rows), scorer.p_churn(rows))
    assert [loaded.p_churn(rows.slice(at, 1))[0] for at in range(rows.num_rows)] == loaded.p_churn(
        rows
    ).tolist()


def test_a_release_holds_no_pickle_and_no_customer(business):
    ids = set(scores(business)["customer_id"].to_pylist())
    files = [path for path in business.release.folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".ubj", ".parquet", ".md"}
    for path in nonempty(path for path in files if path.suffix in {".json", ".md"}):
        assert not words_of(path.read_text()) & ids, path.name


def words_of(text):
    """Whatever stands between spaces, quotes and brackets, so that an id is seen in any
    notation.
    """
    return set(re.findall(r"[\w.+-]+", text)) | set(re.findall(r"[^\s\"'`|()\[\]{},:;]+", text))


@pytest.mark.parametrize(
    "written", ['"{}"', "customer {} left", "| {} | 0.5 |", "({})", "`{}`", "of {}:"]
)
def test_the_look_for_customers_sees_an_id_in_any_notation(written):
    assert "000123" in words_of("first 0.000123 " + written.format("000123"))
    assert "000123" not in words_of("0.000123 and 1000123")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("business", ["trained_subscriptions"], indirect=True)
def test_one_model_alone_takes_the_other_from_the_newest_release(own_home):
    b = own_home
    one = job.train(b.history, b.settings, only="churn")
    loaded = release.load_release(one.folder)
    rows = with_microseconds(pq.read_table(b.run.folder / "features.parquet"))
    assert np.array_equal(loaded.scorer.q_stay(rows), b.release.scorer.q_stay(rows))
    assert (loaded.scorer.prediction_sets, loaded.scorer.rate_spread) == (
        b.release.scorer.prediction_sets,
        b.release.scorer.rate_spread,
    )
    # Its figures come from both models fitted before the evaluation dates, as when both were
    # trained: the served q has
    # seen those dates and would flatter itself.
    assert one.evaluation["next_stage"] == b.trained.evaluation["next_stage"]
    assert one.evaluation["churn"] == b.trained.evaluation["churn"]
    changed = b.settings.model_copy(
        update={
            "features": b.settings.features.model_copy(
                update={"off": ["rhythm", *b.settings.features.off]}
            )
        }
    )
    with pytest.raises(errors.ReleaseRefused, match="the configuration, the features"):
        job.train(b.history, changed, only="churn")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("business", ["trained_subscriptions"], indirect=True)
def test_equal_training_gives_an_equal_release(business, store_home):
    """In a home of its own, where no study on disk could answer for the search."""
    b = business
    bounded = b.settings.model_copy(
        update={"training": b.settings.training.model_copy(update={"seconds": 600.0})}
    )
    again = job.train(b.history, bounded).folder
    assert again.is_relative_to(store_home)
    assert again.name == b.release.id


@pytest.mark.long
@pytest.mark.slow
@of_the_shop
def test_the_next_stage_alone_keeps_churn_and_its_figures(own_home):
    b = own_home
    one = job.train(b.history, b.settings, only="next-stage")
    loaded = release.load_release(one.folder)
    rows = with_microseconds(pq.read_table(b.run.folder / "features.parquet"))
    assert np.array_equal(loaded.scorer.p_churn(rows), b.release.scorer.p_churn(rows))
    assert (loaded.scorer.prediction_sets, loaded.scorer.rate_spread) == (
        b.release.scorer.prediction_sets,
        b.release.scorer.rate_spread,
    )
    assert one.evaluation["churn"] == b.trained.evaluation["churn"]
    assert set(one.runs) == {"next-stage"}


def test_a_damaged_folder_makes_room_for_the_same_release(at_home, tmp_path):
    """`train again` must heal: equal content gives the same id, and would find the broken folder in
    its place.
    """
    broken, staged = tmp_path / at_home.release.id, tmp_path / "staged"
    for folder in (broken, staged):
        shutil.copytree(at_home.release.folder, folder)
    (broken / "card.md").write_text("edited")
    release._place(staged, broken)
    assert release.verify_release(broken) == at_home.release.id
    kept = (broken / "card.md").stat().st_mtime_ns
    shutil.copytree(broken, staged)
    release._place(staged, broken)
    assert (broken / "card.md").stat().st_mtime_ns == kept
