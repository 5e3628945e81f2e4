"""No past is scored with its own future: a release knows what it has seen, and every door asks."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import lifecycle as lc
from features.core import errors
from features.core.instants import (
    DAY_US,
    HOUR_US,
    day_text,
    instant,
    last_midnight,
    midnight_after,
    midnight_before,
)
from features.labels.event_times import observe_events, outcomes_until
from features.tables.history import history_from_connection, newest_as_of, refuse_too_late
from lifecycle.commands import run as main_job
from serving.api.questions import parse_request
from serving.api.schemas import rfc3339
from serving.api.state import ServingState
from serving.batch import run_folders
from tests.support.businesses import with_training
from tests.support.checks import nonempty
from tests.support.command_line import run_here
from tests.support.worlds import read_tables, rebuild_history
from training import past, plan

MARK = "in_sample"


def warnings_of(run):
    return nonempty(pq.read_table(run.folder / "scores.parquet")["warnings"].to_pylist())


def test_a_release_knows_the_end_of_the_newest_window_it_learned_from(business):
    dates = plan.make_plan(business.history, business.settings)
    newest = max(*dates.refit, *dates.evaluate)
    seen = business.release.seen
    # The curve has longer windows: of older dates, they may end later than that of the newest one.
    latency = business.settings.churn.label_latency_days
    ends = [
        at + (days + latency) * DAY_US
        for at in {*dates.train, *dates.evaluate, *dates.refit}
        for days in business.settings.curve_horizons
    ]
    assert seen.outcomes_until == max(end for end in ends if end <= business.history.data_until)
    assert seen.outcomes_until >= newest + business.settings.outcome_window_us
    assert (seen.population_as_of, seen.purpose) == (newest, "serve")
    assert seen.earliest_as_of == seen.outcomes_until <= business.run.as_of


def test_what_became_known_after_it_taught_the_release_nothing(shop):
    """With dates far apart the newest outcome of churn lies long before the data's end, and windows
    of the curve end later. Without what was recorded after the stated end no label is another one.
    """
    _, config, history = shop
    config = with_training(config, step_days=100, evaluate=["2023-08-01"])
    history = replace(history, data_until=history.data_until - 5 * DAY_US)
    instants = plan.make_plan(history, config).refit
    until = outcomes_until(instants, history, config)
    assert max(instants) + config.outcome_window_us < until <= history.data_until
    tables = {
        name: rows.filter(pc.less(rows["recorded_at"], until)) if name != "customers" else rows
        for name, rows in read_tables(history).items()
    }
    other = replace(rebuild_history(history, tables), data_until=history.data_until)
    for at in instants:
        known = history.as_of(at)
        people = known.activity.select("customer_id").unique().sort("customer_id")
        ids = people.collect(backend="pyarrow").to_native()["customer_id"]
        labels = observe_events(history, known, ids, config)
        assert (labels == observe_events(other, other.as_of(at), ids, config)).all()
    assert outcomes_until(instants, replace(history, data_until=until), config) == until


def test_an_instant_before_it_is_refused_with_both_instants_and_the_ways_out(own_home):
    b, at = own_home, own_home.release.seen.earliest_as_of - 1
    with pytest.raises(errors.AsOfInSample) as refused:
        run_folders.score_batch(b.history, b.settings, b.release, as_of=at)
    text = errors.owner_text(refused.value)
    learned = (b.release.seen.outcomes_until, b.release.seen.population_as_of)
    for part in (*map(rfc3339, learned), "lifecycle backfill", "--in-sample"):
        assert part.removesuffix("T00:00:00Z") in text
    assert refused.value.exit_code == 3


def test_in_sample_marks_every_row_the_manifest_and_never_becomes_latest(own_home):
    b, latest = own_home, own_home.home / "scores" / "LATEST"
    before = latest.read_text()
    at = b.release.seen.earliest_as_of - 40 * DAY_US
    marked = run_folders.score_batch(b.history, b.settings, b.release, as_of=at, in_sample=True)
    assert all(MARK in warnings for warnings in warnings_of(marked))
    assert json.loads((marked.folder / "manifest.json").read_text())["in_sample"] is True
    latest.unlink()
    run_folders.score_batch(b.history, b.settings, b.release, as_of=at, in_sample=True)
    assert not latest.exists()
    honest = run_folders.score_batch(b.history, b.settings, b.release, as_of=b.run.as_of)
    assert latest.read_text() == before
    assert not any(MARK in warnings for warnings in warnings_of(honest))
    assert json.loads((honest.folder / "manifest.json").read_text())["in_sample"] is False


def test_a_training_before_the_data_begin_names_the_days_that_may_be_given(shop):
    _, settings, history = shop
    first = plan.first_known_activity(history)
    for at in (first, first - 400 * DAY_US):
        with pytest.raises(errors.NotEnoughData) as refused:
            past.open_past(history, settings, at)
        text = errors.owner_text(refused.value)
        assert day_text(first, zone=settings.zone) in refused.value.got
        assert "[activity]" not in text
    earliest = refused.value.fix.split()[4]
    cut, early, _ = past.open_past(history, settings, instant(earliest, zone=settings.zone))
    assert plan.make_plan(cut, early).train


def test_run_refuses_a_silent_feed_before_it_trains(shop, store_home):
    """Nobody can be scored without activity, so nothing is trained for it either."""
    folder, settings, history = shop
    later = day_text(history.data_until + 200 * DAY_US, zone=settings.zone)
    with pytest.raises(errors.FeedSilent, match="transactions"):
        main_job.run(
            folder / "lifecycle.toml", changes={"contract.max_staleness_days": 300}, as_of=later
        )
    assert not list((store_home / "mlruns").glob("releases/*"))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("business", ["trained_shop"], indirect=True)
def test_a_model_in_python_refuses_or_marks_the_same_rows(at_home):
    shop = lc.open(at_home.folder / "lifecycle.toml")
    model = lc.load_release()
    days = [model.earliest_as_of.replace(microsecond=0), "2023-03-01"]
    rows = shop.features(as_of=days, model=model)
    with pytest.raises(lc.LifecycleError, match="in_sample=True"):
        model.predict(rows)
    scores = model.predict(rows, in_sample=True)
    past_rows = rows["as_of"] < model.earliest_as_of
    assert 0 < past_rows.sum() < len(rows)
    assert [MARK in warnings for warnings in scores["warnings"]] == past_rows.tolist()


def events(at, **further):
    bought = {"occurred_at": rfc3339(at - 20 * DAY_US), "amount": 10.0}
    customer = {"customer_id": "somebody", "transactions": [bought]}
    return parse_request({"customers": [customer], "as_of": rfc3339(at)} | further)


@pytest.fixture
def state(trained_shop, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
    return ServingState.load()


def test_the_service_refuses_or_marks_a_past_it_has_seen(state, trained_shop):
    now = trained_shop.run.as_of + HOUR_US
    seen = trained_shop.release.seen
    for days in (1, 400):  # 400: before the population statistics too
        at = seen.earliest_as_of - days * DAY_US
        with pytest.raises(errors.Malformed) as refused:
            state.score_by_events(events(at), now=now)
        assert (refused.value.where, refused.value.status) == ("as_of", 422)
        assert rfc3339(seen.outcomes_until) in refused.value.rule
        assert rfc3339(seen.population_as_of) in refused.value.rule
        [entry] = state.score_by_events(events(at, in_sample=True), now=now)["scores"]
        assert MARK in entry["warnings"]
    [entry] = state.score_by_events(events(now), now=now)["scores"]
    assert MARK not in entry["warnings"]
    with pytest.raises(errors.Malformed, match="raw events"):
        parse_request({"customer_ids": ["a"], "in_sample": True})


@pytest.mark.slow
@pytest.mark.long
def test_without_as_of_an_old_population_is_refused_and_not_warned_of(state, trained_shop):
    days = trained_shop.settings.contract.max_staleness_days
    newest = trained_shop.run.as_of  # its population
    request = events(newest).model_copy(update={"as_of": None})
    assert state.score_by_events(request, now=newest + days * DAY_US)["scores"]
    with pytest.raises(errors.Malformed, match="population statistics"):
        state.score_by_events(request, now=newest + days * DAY_US + 1)
    given = events(newest + 700 * DAY_US)
    [entry] = state.score_by_events(given, now=newest + 700 * DAY_US)["scores"]
    assert "population_is_700_days_old" in entry["warnings"]


@pytest.mark.slow
@pytest.mark.long
def test_the_command_line_ends_with_exit_3_or_marks(trained_shop, home):
    config = trained_shop.folder / "lifecycle.toml"
    (home / "mlruns").mkdir()
    (home / "mlruns" / "releases").symlink_to(trained_shop.home / "mlruns" / "releases")
    refused = run_here("score", "-c", config, "--as-of", "2023-03-01")
    assert refused.returncode == 3, refused.stderr
    assert "lifecycle train --as-of 2023-03-01" in refused.stderr
    marked = run_here("score", "-c", config, "--as-of", "2023-03-01", "--in-sample", "--json")
    assert marked.returncode == 0, marked.stderr
    assert json.loads(marked.stdout)["rows"] > 0


def test_the_main_job_refuses_before_it_trains(shop, home):
    folder, _, _ = shop
    with pytest.raises(errors.AsOfInSample):
        main_job.run(folder / "lifecycle.toml", as_of="2023-03-01")
    assert not (home / "mlruns").exists()


def test_one_model_alone_is_never_of_an_earlier_day(shop):
    _, settings, history = shop
    with pytest.raises(errors.BadSetting, match="both models"):
        past.what_to_train_on(history, settings, history.data_until, only="churn")


def test_the_newest_row_is_known_at_the_end_of_the_data(shop):
    _, settings, whole = shop
    unstated = settings.contract.model_copy(update={"data_until": None})
    settings = settings.model_copy(update={"contract": unstated})
    history = history_from_connection(whole.connection, settings)
    newest = max(
        history.connection.execute(f"SELECT max(recorded_at) FROM {name}").fetchone()[0]
        for name in ("transactions", "interactions", "feedback")
    )
    assert history.data_until == newest + 1
    known = history.as_of(history.data_until)
    tables = [known.tables[name] for name in ("transactions", "interactions", "feedback")]
    seen = [table.collect(backend="pyarrow").to_native()["recorded_at"] for table in tables]
    assert newest in {value for column in seen for value in column.to_pylist()}


@pytest.mark.parametrize("zone", ["UTC", "America/Santiago"])
def test_the_midnight_right_after_the_data_is_not_after_the_data(shop, zone):
    _, settings, history = shop
    business = settings.business.model_copy(update={"zone": zone})
    settings = settings.model_copy(update={"business": business})
    midnight = midnight_before(history.data_until, zone)
    last = replace(history, data_until=midnight - 3 * 60_000_000 + 1)  # 23:57
    assert refuse_too_late(last, settings, midnight) is False
    assert refuse_too_late(last, settings, midnight + 1) is True
    days = settings.contract.max_staleness_days
    assert refuse_too_late(last, settings, midnight + days * DAY_US) is True
    with pytest.raises(errors.AsOfTooLate):
        refuse_too_late(last, settings, midnight + days * DAY_US + 1)
    assert newest_as_of(last, settings, however_old=True) == midnight_after(last.data_until, zone)


def test_where_clocks_change_a_training_ends_before_the_next_run_begins(shop):
    """From a morning in summer, 60 days back is a winter's night an hour earlier."""
    _, settings, history = shop
    zone = "Europe/London"
    business = settings.business.model_copy(update={"zone": zone})
    settings = with_training(settings.model_copy(update={"business": business}), evaluate=[])
    morning = 1_684_137_600_000_000 - 20 * DAY_US  # 2023-04-25T08:00Z
    dates = plan.make_plan(replace(history, data_until=morning), settings)
    newest = max(*dates.refit, *dates.evaluate)
    assert newest + settings.outcome_window_us <= midnight_before(morning, zone)


def test_without_an_as_of_the_day_after_the_data_is_scored(shop):
    """What nobody has loaded yet did not fail to happen; data older than allowed are refused."""
    _, settings, history = shop
    zone, days = settings.zone, settings.contract.max_staleness_days
    today = last_midnight(zone)
    for ago in range(days + 1):
        ended = replace(history, data_until=today - ago * DAY_US)
        assert newest_as_of(ended, settings) == today - ago * DAY_US
        assert newest_as_of(ended, settings, however_old=True) == today - ago * DAY_US
    old = replace(history, data_until=today - (days + 1) * DAY_US)
    assert settings.contract.data_until
    with pytest.raises(errors.AsOfTooLate) as refused:
        refuse_too_late(old, settings, today)
    # What is configured already is not what helps.
    assert "fresh_until = { transactions =" in refused.value.fix
    assert newest_as_of(old, settings) == today
    with pytest.raises(errors.AsOfTooLate):
        refuse_too_late(old, settings, newest_as_of(old, settings))
    assert newest_as_of(old, settings, however_old=True) == old.data_until
