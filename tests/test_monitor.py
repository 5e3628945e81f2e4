"""`lifecycle monitor` on a trained shop: what it says of a run, and what became of earlier runs."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.errors import NotEnoughData, ReleaseRefused, RunRefused, StoreFailed
from features.core.instants import DAY_US
from features.core.staged_files import staged_file
from features.tables.history import History
from serving.release.reference_file import FILE as REFERENCE
from serving.release.reference_file import ReferenceOutcomes
from tests.support.businesses import copied
from tests.support.command_line import run_here
from tests.support.damaged_home import reseal
from training.monitor import realised, realised_file
from training.monitor.monitor import monitor
from training.monitor.scored_run import open_run, published_runs
from training.monitor.text import monitor_text
from training.monitor.windows import judge_feeds, judge_preferences

LATER = 63 * DAY_US
PAST = (ReferenceOutcomes(800, 196, 200.0, 150.0), ReferenceOutcomes(800, 206, 200.0, 150.0)) * 3


def continued(history: History, *, days: int = 64) -> History:
    """The same shop so many days later: its last 63 days happen once more."""
    cursor = history.connection.cursor()
    cursor.execute("CREATE SCHEMA IF NOT EXISTS continued")
    for name in history.names:
        cursor.execute(
            f"CREATE OR REPLACE VIEW continued.{name} AS SELECT * FROM main.{name}"
            if name != "transactions"
            else f"""CREATE OR REPLACE TABLE continued.transactions AS
            SELECT * FROM main.transactions UNION ALL BY NAME
            SELECT * REPLACE (occurred_at + {LATER} AS occurred_at,
                              recorded_at + {LATER} AS recorded_at,
                              local_day + 63 AS local_day, NULL AS transaction_id)
            FROM main.transactions WHERE occurred_at >= {history.data_until - LATER}"""
        )
    until = history.data_until + days * DAY_US
    return replace(history, connection=cursor, schema="continued", data_until=until)


@pytest.fixture
def there(trained_shop, home):
    """The trained shop in a home to write into."""
    return copied(trained_shop, home)


@pytest.fixture(scope="module")
def later(trained_shop):
    return continued(trained_shop.history)


def judge(shop, history=None):
    history = history or shop.history
    return monitor(history, shop.settings, today=history.data_until)


def test_few_customers_are_said_to_be_too_few_and_nothing_has_matured(there):
    value = judge(there).value
    assert value["verdict"] == "cannot tell"
    assert value["outcomes"]["verdict"] == "nothing yet"
    assert set(value["kinds"]) == {
        *("features", "scores", "stages", "newcomers", "preferences", "values", "feeds")
    }
    text = monitor_text(value).splitlines()
    assert text[0].startswith("cannot tell: ")
    assert "too few to see a change smaller than" in text[0]


def test_the_command_says_it_and_ends_well_also_when_strict(there):
    config = there.folder / "lifecycle.toml"
    changes = [part for key in SETTINGS for part in ("--set", key)]
    ended = run_here("monitor", "-c", config, *changes, "--json")
    assert ended.returncode == 0, ended.stderr
    value = json.loads(ended.stdout)
    assert value["run"] == there.run.id
    strict = run_here("monitor", "-c", config, *changes, "--strict")
    assert strict.returncode == (1 if value["verdict"] == "moved" else 0)
    assert strict.stdout.startswith("cannot tell")


SETTINGS = (
    "training.trials=2",
    "training.seconds=30",
    "training.evaluate=[]",
    "training.max_dates=6",
    "training.step_days=45",
)


def test_a_matured_run_is_judged_once_as_a_slow_computation_judges_it(there, later):
    first = judge(there, later)
    [line] = first.value["realised"]
    again = judge(there, later)
    assert again.value["realised"] == []
    assert again.value["outcomes"] == first.value["outcomes"] | {
        realised_file.BEFORE: again.value["outcomes"][realised_file.BEFORE]
    }
    assert len(realised_file.read_lines()) == 1
    assert line["run"] == there.run.id
    for name, value in slow_figures(there, later).items():
        assert line[name] == pytest.approx(value), name
    assert "outcomes of the run of" in monitor_text(first.value)
    assert os.path.getsize(first.value["picture"]) > 1000


def slow_figures(shop, history):
    """The realised figures customer by customer, from the rows themselves."""
    rows = history.connection.execute(
        f"SELECT customer_id, kind, occurred_at, recorded_at FROM {history.schema}.transactions"
    ).fetchall()
    end = shop.run.as_of + 60 * DAY_US
    known_until = end + 3 * DAY_US
    bought = {
        who
        for who, kind, at, recorded in rows
        if kind == "purchase" and shop.run.as_of <= at < end and recorded < known_until
    }
    scored = [
        (row["p_churn"], row["customer_id"] not in bought)
        for row in pq.read_table(shop.run.folder / "scores.parquet").to_pylist()
        if row["eligible"] and row["p_churn"] is not None
    ]
    pairs = [
        1.0 if p > q else 0.5 if p == q else 0.0
        for p, left in scored
        if left
        for q, stayed in scored
        if not stayed
    ]
    return {
        "customers": len(scored),
        "left": sum(left for _, left in scored),
        "expected": sum(p for p, _ in scored),
        "auroc": sum(pairs) / len(pairs),
        "log_loss": -sum(np.log(p if left else 1 - p) for p, left in scored) / len(scored),
    }


def test_rows_recorded_later_change_nothing(there, later):
    before = judge(there, later).value
    cursor = later.connection
    realised_file.history_path().unlink()
    cursor.execute(
        f"""INSERT INTO continued.transactions BY NAME
        SELECT * REPLACE ({there.run.as_of + DAY_US} AS occurred_at,
                          {there.run.as_of + LATER} AS recorded_at, NULL AS transaction_id)
        FROM main.transactions LIMIT 500"""
    )
    assert judge(there, later).value == before


def test_one_class_has_no_auroc(there):
    """Nobody buys any more: the data only grow older."""
    silent = replace(there.history, data_until=there.history.data_until + 64 * DAY_US)
    [line] = judge(there, silent).value["realised"]
    assert line["left"] == line["customers"]
    assert line["auroc"] is None
    assert line["lift"] is None
    assert line["verdict"] == "moved"
    value = judge(there, silent).value
    assert "outcomes" in value["moved"]
    assert "the same outcome" in monitor_text(value)


@pytest.mark.parametrize("left", [[], [True], [False, False]])
def test_hardly_anybody_is_judged_without_an_error(left):
    left, p = np.array(left, bool), np.full(len(left), 0.3)
    figures = realised.figures(left, p)
    assert figures["auroc"] is None
    assert realised.judge_rate(left, p, PAST)["verdict"] == "cannot tell"


def test_a_rate_half_as_high_again_is_seen_and_the_expected_one_is_not():
    p = np.full(800, 0.25)
    assert realised.judge_rate(np.arange(800) < 300, p, PAST)["verdict"] == "moved"
    assert realised.judge_rate(np.arange(800) < 205, p, PAST)["verdict"] == "calm"


def test_a_release_from_before_the_reference_says_train_again(there):
    folder = there.release.folder
    (folder / REFERENCE).unlink()
    sealed = reseal(folder)
    about = there.run.folder / "manifest.json"
    about.write_text(about.read_text().replace(there.release.id, sealed.name))
    with pytest.raises(ReleaseRefused, match="Train again"):
        judge(there)


def test_without_a_run_it_says_score_first(there):
    shutil.rmtree(there.home / "scores")
    with pytest.raises(NotEnoughData, match="lifecycle score"):
        judge(there)


def test_a_damaged_run_is_refused(there):
    features = pq.read_table(there.run.folder / "features.parquet")
    pq.write_table(features.slice(1), there.run.folder / "features.parquet")
    with pytest.raises(RunRefused, match=r"features\.parquet"):
        judge(there)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-20],
        lambda raw: raw.replace(b'"left": ', b'"left": 1', 1),
        lambda raw: b"\x00\xff" + raw,
        lambda raw: raw + b"{}\n",
        lambda raw: raw.split(b"\n", 1)[1],
    ],
)
def test_a_damaged_history_is_an_error_and_stays_as_it_is(home, damage):
    lines = [{**_line(k), "run": f"{k}"} for k in range(3)]
    with realised_file.lock_history():
        realised_file.add_lines(lines)
    path = realised_file.history_path()
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(StoreFailed, match=r"realised\.jsonl"), realised_file.lock_history():
        realised_file.add_lines([_line(9)])
    assert path.read_bytes() == before


def _line(number):
    return {
        "run": f"run{number}",
        "as_of": number,
        "as_of_text": "2024-01-01",
        "customers": 10,
        "left": 2,
        "expected": 2.5,
        "judged_on": "2024-03-04",
    }


def test_lines_are_only_added_and_each_run_once(home):
    with realised_file.lock_history():
        realised_file.add_lines([_line(1), _line(2)])
    before = realised_file.history_path().read_bytes()
    with realised_file.lock_history():
        realised_file.add_lines([_line(2) | {"left": 7}, _line(3)])
    after = realised_file.history_path().read_bytes()
    assert after.startswith(before)
    assert [line["run"] for line in realised_file.read_lines()] == ["run1", "run2", "run3"]


def _die_while_writing(number):
    with realised_file.lock_history(), staged_file(realised_file.history_path()) as staged:
        staged.write_bytes(realised_file.history_path().read_bytes() + b'{"run": "ha')
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_command_that_is_killed_while_it_adds_leaves_the_lines_of_before(home):
    with realised_file.lock_history():
        realised_file.add_lines([_line(1)])
    before = realised_file.history_path().read_bytes()
    child = multiprocessing.get_context("fork").Process(target=_die_while_writing, args=(2,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert realised_file.history_path().read_bytes() == before
    with realised_file.lock_history():
        assert len(realised_file.add_lines([_line(2)])) == 2


def _add(numbers):
    for number in numbers:
        with realised_file.lock_history():
            realised_file.add_lines([_line(number)])


def test_two_at_once_lose_no_line_and_write_none_twice(home):
    context = multiprocessing.get_context("fork")
    parts = [range(20), range(10, 30)]
    children = [context.Process(target=_add, args=(part,)) for part in parts]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert sorted(line["as_of"] for line in realised_file.read_lines()) == list(range(30))


def test_no_id_is_in_any_output(there, later):
    judged = judge(there, later)
    ids = set(pq.read_table(there.run.folder / "scores.parquet")["customer_id"].to_pylist())
    text = json.dumps(judged.value) + monitor_text(judged.value)
    text += realised_file.history_path().read_text()
    text += (there.release.folder / REFERENCE).read_text()
    words = {word for word in text.replace('"', " ").replace(",", " ").split() if word in ids}
    assert words == set()


def test_runs_of_another_configuration_are_not_judged(there):
    assert [run.id for run in published_runs(there.settings)] == [there.run.id]
    churn = there.settings.churn.model_copy(update={"horizon_days": 30})
    other = there.settings.model_copy(update={"churn": churn})
    assert published_runs(other) == []
    with pytest.raises(NotEnoughData):
        open_run(other, there.run.as_of)


def test_a_feed_that_arrives_later_and_a_new_channel_are_named(there):
    run = open_run(there.settings, None)
    tables = {name: run.read(f"history/{name}.parquet") for name in run.tables()}
    dates = there.release.reference.dates
    calm = judge_preferences(tables, dates, run.as_of), judge_feeds(tables, dates, run.as_of)
    assert {each.verdict for each in calm} <= {"calm", "cannot tell"}
    rows = tables["transactions"]
    recent = pc.greater_equal(rows["occurred_at"], run.as_of - 30 * DAY_US)
    channel = pc.if_else(recent, "chat", rows["channel"])
    recorded = pc.if_else(recent, pc.add(rows["occurred_at"], 5 * DAY_US), rows["recorded_at"])
    changed = rows.set_column(rows.column_names.index("channel"), "channel", channel)
    named = judge_preferences(tables | {"transactions": changed}, dates, run.as_of).changes
    assert "transactions.channel chat (everyone)" in {each.name for each in named}
    late = rows.set_column(rows.column_names.index("recorded_at"), "recorded_at", recorded)
    moved = judge_feeds(tables | {"transactions": late}, dates, run.as_of)
    assert [each.name for each in moved.changes] == ["transactions"]
    without = {name: table for name, table in tables.items() if name == "customers"}
    assert judge_preferences(without, dates, run.as_of).why == "nobody"
    empty = {name: table.slice(0, 0) for name, table in tables.items()}
    assert judge_feeds(empty, dates, run.as_of).verdict == "cannot tell"
    assert judge_preferences(empty, dates, run.as_of).verdict == "cannot tell"
