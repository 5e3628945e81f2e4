"""Scores on the days on which a table is silent, and of requests without one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core import errors
from features.core.instants import DAY_US
from features.engine.build import build
from features.recipes.population_stats import population_stats
from features.tables.freshness import RecordedDays, needed_tables
from serving.batch import run_folders
from serving.release import release as releases
from serving.scoring.evidence import GRADES
from serving.scoring.sub_releases import SubRelease, choose_sub_release
from tests.support import raw_events, worlds
from tests.support.checks import nonempty
from tests.support.services import shared_service
from training.plan import Plan
from training.reports.scores_text import scores_text
from training.silent_feeds import leave_out_silence
from training.sub_releases import possible_lacks

# The subscriptions have one optional table more; the shop repeats the promise.
richer = pytest.mark.parametrize(
    "business",
    [
        pytest.param("trained_shop", marks=[pytest.mark.slow, pytest.mark.long]),
        "trained_subscriptions",
    ],
    indirect=True,
)


def test_each_table_that_a_score_can_do_without_has_a_sub_release(business):
    lacks = [each.lacks for each in business.release.sub_releases]
    optional = sorted(set(business.release.tables) - needed_tables(business.settings))
    assert lacks == [*((table,) for table in optional), tuple(optional)]
    assert lacks == list(possible_lacks(business.examples, business.settings))


@pytest.mark.slow
@pytest.mark.long
@richer
def test_no_sub_release_reads_a_table_that_it_lacks(business):
    """Not by a recipe, nor by a population statistic: its scores do not change with the table."""
    release, at = business.release, business.run.as_of
    tables = worlds.read_tables(business.history)
    whole = rows_of(business, tables, at)
    *of_one, of_all = nonempty(release.sub_releases)
    for each, other in [*((each, _halved) for each in of_one), (of_all, _emptied)]:
        changed = dict(tables) | {name: other(tables[name]) for name in each.lacks}
        rows = rows_of(business, changed, at)
        assert rows["customer_id"].equals(whole["customer_id"])
        for mine, theirs in zip(each.scorer.score(rows), each.scorer.score(whole), strict=True):
            assert np.array_equal(mine, theirs)
    emptied = dict(tables) | {name: _emptied(tables[name]) for name in each.lacks}
    changed = release.scorer.p_churn(rows_of(business, emptied, at))
    assert not np.array_equal(changed, release.scorer.p_churn(whole))


def _emptied(table):
    return table.slice(0, 0)


def _halved(table):
    return table.slice(0, table.num_rows // 2)


def rows_of(business, tables, at):
    known = worlds.rebuild_history(business.history, tables).as_of(at)
    definitions = business.release.scorer.definitions
    return build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=business.release.columns,
    )


def test_a_score_lacks_the_fewest_tables_that_it_must():
    whole, *subs = (SubRelease(lacks, object()) for lacks in ((), ("a",), ("b",), ("a", "b", "c")))
    assert choose_sub_release(whole, subs, ()) is whole
    assert choose_sub_release(whole, subs, {"b"}) is subs[1]
    assert choose_sub_release(whole, subs, {"c"}) is subs[2]
    assert choose_sub_release(whole, subs, {"a", "b"}) is subs[2]
    # A table that nothing was learned from is not missed.
    assert choose_sub_release(whole, subs, {"costs"}) is whole
    assert choose_sub_release(whole, [], {"a"}) is whole


@pytest.mark.parametrize("business", ["trained_subscriptions"], indirect=True)
def test_a_silent_feed_is_scored_without_its_table_and_every_row_says_so(own_home):
    b, at = own_home, own_home.run.as_of
    tables = worlds.read_tables(b.history)
    cut = dict(tables) | {"feedback": worlds.truncate_history(tables, at - 60 * DAY_US)["feedback"]}
    silent = worlds.rebuild_history(b.history, cut)
    run = run_folders.score_batch(silent, b.settings, b.release, as_of=at)
    scores = pq.read_table(run.folder / "scores.parquet")
    scored = scores.filter(pc.is_valid(scores["p_churn"]))
    assert scored.num_rows > 100
    assert all("without:feedback" in row for row in scored["warnings"].to_pylist())
    assert set(scored["evidence"].to_pylist()) <= set(GRADES[:3])
    [sub] = [each for each in b.release.sub_releases if each.lacks == ("feedback",)]
    rows = rows_of(b, cut, at)
    assert scored["p_churn"].to_pylist() == sub.scorer.p_churn(rows).tolist()
    assert json.loads((run.folder / "manifest.json").read_text())["without"] == ["feedback"]
    assert "scored without feedback, which had fallen silent" in scores_text(run.folder)
    assert "scored without" not in scores_text(b.run.folder)
    # The day before the feed stopped is answered as it was.
    early = at - 70 * DAY_US
    before, again = (
        run_folders.score_batch(each, b.settings, b.release, as_of=early, in_sample=True)
        for each in (silent, b.history)
    )
    assert before.id == again.id
    marks = pq.read_table(before.folder / "scores.parquet")["warnings"].to_pylist()
    assert not any(text.startswith("without:") for row in marks for text in row)


def test_without_activity_nobody_is_scored(own_home):
    b, at = own_home, own_home.run.as_of
    tables, name = worlds.read_tables(b.history), b.settings.activity.table
    cut = dict(tables) | {name: worlds.truncate_history(tables, at - 20 * DAY_US)[name]}
    silent = worlds.rebuild_history(b.history, cut)
    with pytest.raises(errors.FeedSilent, match=name):
        run_folders.score_batch(silent, b.settings, b.release, as_of=at)


@pytest.mark.slow
@pytest.mark.long
@richer
def test_a_table_left_out_of_a_request_was_not_sent(business, request):
    service = shared_service(business, request)
    at = business.run.as_of
    whole = raw_events.request(business.history, business.settings, service.ids[:40], as_of=at)
    needed = needed_tables(business.settings)
    sent = service.ask(whole).json()["scores"]
    assert not any(text.startswith("without:") for row in sent for text in row["warnings"])
    optional = sorted(set(business.release.tables) - needed)
    for name in optional:
        part = [{k: v for k, v in one.items() if k != name} for one in whole["customers"]]
        answer = service.ask({**whole, "customers": part}).json()["scores"]
        scored = [row for row in answer if row["p_churn"] is not None]
        assert all(f"without:{name}" in row["warnings"] for row in nonempty(scored))
    # Each customer for themselves: one without all optional tables, the others whole.
    first = {k: v for k, v in whole["customers"][0].items() if k not in optional}
    answer = service.ask({**whole, "customers": [first, *whole["customers"][1:]]}).json()["scores"]
    assert [f"without:{name}" for name in optional] == [
        text for text in answer[0]["warnings"] if text.startswith("without:")
    ] or answer[0]["p_churn"] is None
    assert answer[1:] == sent[1:]


def test_nothing_happened_is_not_the_same_as_not_sent(shop_service, trained_shop):
    at = trained_shop.run.as_of
    whole = raw_events.request(
        trained_shop.history, trained_shop.settings, shop_service.ids[:20], as_of=at
    )
    nothing = [{**one, "interactions": []} for one in whole["customers"]]
    unsent = [{k: v for k, v in one.items() if k != "interactions"} for one in whole["customers"]]
    empty, absent = (
        shop_service.ask({**whole, "customers": each}).json()["scores"]
        for each in (nothing, unsent)
    )
    assert not any("without:interactions" in row["warnings"] for row in empty)
    assert [row["p_churn"] for row in empty] != [row["p_churn"] for row in absent]


def test_a_request_without_a_table_that_every_score_needs_is_refused(business, request):
    service = shared_service(business, request)
    whole = raw_events.request(
        business.history, business.settings, service.ids[:2], as_of=business.run.as_of
    )
    for name in sorted(needed_tables(business.settings)):
        second = {k: v for k, v in whole["customers"][1].items() if k != name}
        answer = service.ask({**whole, "customers": [whole["customers"][0], second]})
        assert answer.status_code == 422
        assert answer.json()["where"] == f"customers[1].{name}"
        assert "[]" in answer.json()["rule"]


def test_the_sub_releases_are_in_the_evaluation_and_the_card(business):
    figures = business.release.evaluation["without"]
    assert set(figures) == {each.name for each in business.release.sub_releases}
    for each in business.release.sub_releases:
        report = figures[each.name]
        assert report["columns"] == len(each.scorer.columns) < len(business.release.scorer.columns)
        assert report["status"] == each.scorer.status
        assert 0 < report["everyone"]["mean_p"] < 1
        assert each.scorer.rate_spread is not None
        least = business.release.scorer.rate_spread.standard_deviations
        assert all(
            own >= other
            for own, other in zip(each.scorer.rate_spread.standard_deviations, least, strict=True)
        )


def test_a_sub_release_with_a_column_of_its_table_is_refused(own_home):
    """By whoever writes the file and its hash anew."""
    folder = own_home.release.folder
    sub = own_home.release.sub_releases[0]
    path = folder / "without" / sub.name / "models.json"
    models = json.loads(path.read_text())
    foreign = next(
        column.name
        for column in own_home.release.columns
        if set(sub.lacks) & set(column.feature.tables)
    )
    models["columns"][0] = foreign
    path.write_text(json.dumps(models))
    files = releases.hash_files(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"files": files, "id": releases.content_id(files)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    renamed = folder.rename(folder.with_name(manifest["id"]))
    with pytest.raises(errors.ReleaseRefused, match="table that it lacks"):
        releases.load_release(renamed)


def feed(name: str, days: list[int]) -> RecordedDays:
    numbers = np.array(days, dtype=np.int64)
    rows = np.full(len(days), 20)
    return RecordedDays(name, "UTC", numbers, numbers * DAY_US, numbers * DAY_US + 1, rows, None)


def test_dates_at_which_a_table_was_silent_are_not_learned_from(trained_shop):
    settings = trained_shop.settings
    dates = tuple(day * DAY_US for day in (400, 430, 460, 490))
    plan = Plan(dates, (520 * DAY_US,), (*dates, 520 * DAY_US))
    hole = [day for day in range(600) if not 425 <= day < 445]
    fresh = leave_out_silence(
        plan,
        {"transactions": feed("transactions", list(range(600))), "feedback": feed("f", hole)},
        settings,
    )
    assert fresh.dates == (430 * DAY_US,)
    assert fresh.tables == ()
    assert fresh.plan == replace(
        plan,
        train=(dates[0], *dates[2:]),
        refit=(dates[0], *dates[2:], 520 * DAY_US),
    )


def test_a_table_that_is_silent_at_the_newest_date_is_left_out_of_the_release(trained_shop):
    dates = tuple(day * DAY_US for day in (400, 430, 460, 490))
    plan = Plan(dates, (520 * DAY_US,), (*dates, 520 * DAY_US))
    recorded = {
        "transactions": feed("transactions", list(range(450))),  # activity is never left out
        "feedback": feed("feedback", list(range(450))),
    }
    fresh = leave_out_silence(plan, recorded, trained_shop.settings)
    assert (fresh.tables, fresh.dates, fresh.plan) == (("feedback",), (), plan)
    columns = trained_shop.examples.without_tables(("feedback",))
    assert columns.columns
    assert not any("feedback" in column.feature.tables for column in columns.columns)
    assert set(columns.modelled) < set(trained_shop.examples.modelled)
