"""A run that looks wrong is not published: it waits beside, with the numbers, until accepted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core import errors, progress
from features.core.instants import DAY_US
from features.recipes.population_stats import PopulationStats
from features.recipes.stages import STAGES
from serving.batch import run_folders, shift
from serving.release import release as releases
from serving.scoring.calibration import Calibration
from serving.scoring.movement import NAMES, describe_rows, moved
from tests.support import worlds
from tests.support.businesses import copied
from tests.support.checks import nonempty
from training.evaluation.movement import movement_report


@pytest.fixture
def shop_home(trained_shop, home):
    return copied(trained_shop, home)


def score(b, history=None, **how):
    at = {"as_of": b.run.as_of + DAY_US} | how
    return run_folders.score_batch(history or b.history, b.settings, b.release, **at)


def cut_feed(b, days):
    """The history after `days` without any new transaction."""
    tables, at = worlds.read_tables(b.history), b.run.as_of - days * DAY_US
    bought = tables["transactions"]
    tables["transactions"] = bought.filter(pc.less(bought["recorded_at"], at))
    return worlds.rebuild_history(b.history, tables)


def said_to_be_complete(b):
    """The business whose configuration says that the feed did not stop."""
    fresh_until = {"transactions": "2024-02-01"}
    contract = b.settings.contract.model_copy(update={"fresh_until": fresh_until})
    return replace(b, settings=b.settings.model_copy(update={"contract": contract}))


def about(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_the_next_day_is_published_and_names_what_it_was_compared_with(shop_home):
    b = shop_home
    run = score(b)
    [compared] = about(run.folder)["shift"]["compared_with"]
    assert compared["run"] == b.run.id
    assert all(
        compared["moved"][name] <= compared["allowed"][name] for name in nonempty(list(NAMES))
    )
    assert run.id in (b.home / "scores" / "LATEST").read_text()


def test_a_feed_that_was_cut_waits_beside_until_the_reason_is_given(shop_home, capsys):
    b, latest = said_to_be_complete(shop_home), shop_home.home / "scores" / "LATEST"
    before, broken = latest.read_text(), cut_feed(shop_home, 60)
    with pytest.raises(errors.RunNotPublished) as refused:
        score(b, broken)
    assert refused.value.exit_code == 1
    assert "eligible customers" in refused.value.got
    assert "--accept-shift" in refused.value.fix
    assert latest.read_text() == before
    [waiting] = (b.home / "scores" / shift.FOLDER).glob("as_of=*/run=*")
    assert str(waiting) in refused.value.fix
    assert pq.read_table(waiting / "scores.parquet").num_rows > 100
    assert about(waiting)["shift"]["compared_with"][0]["moved"]["eligible"] > 0.5
    with pytest.raises(errors.RunNotPublished):  # again, until somebody says why
        score(b, broken)
    with pytest.raises(errors.BadSetting, match="reason"):
        score(b, broken, accept_shift="  ")
    run = score(b, broken, accept_shift="the shop was closed")
    assert run.id in latest.read_text()
    assert about(run.folder)["shift"]["accepted"] == "the shop was closed"
    assert not waiting.exists()
    assert score(b, broken).fresh is False
    (run.folder / "scores.parquet").write_bytes(b"damaged")
    assert score(b, broken).fresh  # repaired, and still accepted
    assert about(run.folder)["shift"]["accepted"] == "the shop was closed"


def test_after_a_promotion_only_the_data_are_compared(shop_home):
    """The new release says other p of everybody: the former run is scored again by it."""
    b = shop_home
    scorer = replace(b.release.scorer, calibration=Calibration("platt", 0.7, 0.7, 3.0))
    folder = releases.write_release(
        scorer,
        all_columns=b.release.columns,
        settings=b.settings,
        tables=b.release.tables,
        population=PopulationStats.read(b.release.folder / "population.parquet"),
        evaluation=b.release.evaluation,
        cards=dict.fromkeys(("card.md", "card.zh.md"), ""),
        times={},
        seen=b.release.seen,
    )
    b = replace(b, release=releases.load_release(folder))
    run = score(b)
    scores = [pq.read_table(each.folder / "scores.parquet") for each in (b.run, run)]
    assert moved(*map(shift.summarise, scores))["mean_p"] > 0.1
    [compared] = about(run.folder)["shift"]["compared_with"]
    assert (compared["run"], compared["moved"]["mean_p"] < 0.02) == (b.run.id, True)


@pytest.fixture
def status_lines():
    progress.set_quiet(False)
    yield
    progress.set_quiet(None)


def test_without_a_former_run_it_is_published_and_said(shop_home, status_lines, capsys):
    b = shop_home
    other = b.settings.model_copy(
        update={"contract": b.settings.contract.model_copy(update={"max_staleness_days": 9})}
    )
    assert shift.configuration_digest(other) != shift.configuration_digest(b.settings)
    release = replace(b.release, config=other.definitions())
    run = run_folders.score_batch(b.history, other, release, as_of=b.run.as_of + DAY_US)
    assert "no former run" in capsys.readouterr().err
    assert about(run.folder)["shift"]["compared_with"] == []


def test_a_change_that_creeps_in_is_seen_by_the_run_a_step_before(shop_home, tmp_path):
    """Each night moves little; the older run shows how much it adds up to."""
    b, scores = shop_home, pq.read_table(shop_home.run.folder / "scores.parquet")
    release = replace(
        b.release,
        evaluation=b.release.evaluation
        | {"movement": {"dates": 3, "days": 30.0, "largest": dict.fromkeys(NAMES, 0.02)}},
    )
    place = scores.column_names.index("p_churn")
    configuration = shift.configuration_digest(b.settings)
    p = np.nan_to_num(scores["p_churn"].to_numpy()) * 0.2

    def write(night):
        folder = tmp_path / f"as_of={night:02}" / "run=x"
        folder.mkdir(parents=True)
        table = scores.set_column(place, "p_churn", pa.array(p + night * 0.002))
        pq.write_table(table, folder / "scores.parquet")
        manifest = {
            "as_of": night * DAY_US,
            "run": f"{night}",
            "release": release.id,
            "configuration": configuration,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return table

    problems = {}
    for night in range(1, 41):
        table = write(night)
        judged = shift.judge_run(tmp_path, table, release, b.settings, as_of=night * DAY_US)
        problems[night] = judged.problems
    assert not any(problems[night] for night in range(1, 31))
    assert all("mean p" in problems[night][0] for night in range(31, 41))


def test_a_first_run_is_published_and_says_how_far_it_is_from_the_training(shop_home, tmp_path):
    """Nothing else can show that all scores of the very first run are wrong alike."""
    b, scores = shop_home, pq.read_table(shop_home.run.folder / "scores.parquet")
    assert b.run.warnings == ()
    place = scores.column_names.index("p_churn")
    far = scores.set_column(place, "p_churn", pa.array(np.full(scores.num_rows, 0.999)))
    judged = shift.judge_run(tmp_path, far, b.release, b.settings, as_of=b.run.as_of)
    assert judged.problems == ()
    [sentence] = judged.section["warnings"]
    assert sentence.startswith("mean p ")
    assert " → 0.9990 since the newest training date, " in sentence
    older = dict(b.release.evaluation["movement"])
    del older["newest"]
    release = replace(b.release, evaluation=b.release.evaluation | {"movement": older})
    judged = shift.judge_run(tmp_path, far, release, b.settings, as_of=b.run.as_of)
    assert "warnings" not in judged.section


states = st.lists(
    st.tuples(st.sampled_from(STAGES), st.booleans(), st.floats(0, 1)), min_size=1, max_size=30
)


@given(states, states)
def test_movement_is_a_distance(one, other):
    """0 from a table to itself, the same both ways, at most 1."""
    first, second = (
        describe_rows(
            pa.table({"stage": [s for s, _, _ in rows], "eligible": [e for _, e, _ in rows]}),
            np.array([p for *_, p in rows]),
        )
        for rows in (one, other)
    )
    there, back = moved(first, second), moved(second, first)
    assert there == pytest.approx(back)
    assert all(0 <= there[name] <= 1 + 1e-12 for name in NAMES)
    assert all(value == pytest.approx(0) for value in moved(first, first).values())


def test_the_largest_movement_is_that_of_neighbours():
    days = [0] * 2 + [10] * 2 + [40] * 2
    rows = pa.table(
        {
            "as_of": [day * DAY_US for day in days],
            "stage": ["new", "new", "new", "loyal", "loyal", "loyal"],
            "eligible": [True, True, True, False, True, True],
        }
    )
    p = np.array([0.1, 0.1, 0.2, 0.2, 0.7, np.nan])
    assert movement_report(rows, p) == {
        "dates": 3,
        "days": 30.0,
        "largest": {"mean_p": pytest.approx(0.5), "stage_shares": 0.5, "eligible": 0.5},
        "newest": {
            "as_of": 40 * DAY_US,
            "mean_p": pytest.approx(0.7),
            "shares": (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
            "eligible": 2,
        },
    }
    alone = movement_report(rows.slice(0, 2), p[:2])
    assert (alone["days"], alone["largest"]["mean_p"]) == (None, None)
    assert "newest" not in movement_report(rows.slice(0, 0), p[:0])


def test_a_training_holds_the_movement_of_its_dates(trained_shop):
    movement = trained_shop.release.evaluation["movement"]
    assert movement["dates"] == len(trained_shop.dates.refit) > 1
    assert all(0 < movement["largest"][name] < 0.5 for name in NAMES)
