"""A kept history that is read share by share gives the bits of the whole: here and on Spark."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting, QueryFailed, StoreFailed
from features.core.forgotten import Forgotten, write_forgotten
from features.core.settings import load_settings
from features.engine import many_dates
from features.engine.share_features import share_populations
from features.engine.spark import run_on_spark
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables.history import load_history
from features.tables.history_store.ingest import ingest
from features.tables.history_store.shares import BucketSize, Share, plan_shares
from features.tables.outline import DataEnd, load_outline, load_share, share_plan
from serving.batch.run_folders import score_batch
from tests.support.businesses import copied
from tests.support.command_line import run_here

BUCKETS = 7
ONE = (Share(0, BUCKETS - 1),)
EVERY = tuple(Share(number, number) for number in range(BUCKETS))
# Two shares of one bucket, some together, and the last one alone.
UNEVEN = (Share(0, 0, 0, 2), Share(0, 0, 1, 2), Share(1, 5), Share(6, 6))

has_spark = importlib.util.find_spec("pyspark") and shutil.which("java")
on_spark = [pytest.mark.slow, pytest.mark.skipif(not has_spark, reason="needs Java and PySpark")]


def kept(business_folder, place, **changes):
    """The settings of a simulated business with a kept history in `place`, filled once."""
    of_history = {"history.folder": str(place / "history"), "history.buckets": BUCKETS}
    settings = load_settings(business_folder / "lifecycle.toml", {**of_history, **changes})
    if not (place / "history").exists():
        ingest(settings)
    return settings


@pytest.fixture(scope="module")
def shop_history(shop, tmp_path_factory):
    """(folder of the shop, place of its kept history)."""
    place = tmp_path_factory.mktemp("kept")
    kept(shop[0], place)
    return shop[0], place


def files_of_run(run):
    return {
        str(path.relative_to(run.folder)): path.read_bytes()
        for path in sorted(run.folder.rglob("*.*"))
    }


def score_in_shares(business, settings, shares, home):
    """The files of the run, computed in these shares in a home without any run."""
    b = copied(business, home)
    shutil.rmtree(home / "scores")
    outline, _ = load_outline(settings, shares)
    run = score_batch(outline, settings, b.release, as_of=b.run.as_of)
    assert run.fresh
    assert not [path for path in (home / "scores").iterdir() if path.name.startswith(".parts")]
    return files_of_run(run)


def test_a_run_in_shares_has_the_bytes_of_the_run_over_files(trained_shop, shop_history, home):
    settings = kept(*shop_history)
    assert score_in_shares(trained_shop, settings, UNEVEN, home) == files_of_run(trained_shop.run)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shares", [ONE, pytest.param(EVERY, marks=pytest.mark.long)], ids=["one", "every"]
)
def test_a_run_with_contracts_has_the_bytes_of_the_run_over_files(
    trained_subscriptions, shares, tmp_path, home
):
    b = trained_subscriptions
    settings = kept(b.folder, tmp_path)
    assert score_in_shares(b, settings, shares, home) == files_of_run(b.run)


def test_a_second_run_in_shares_is_the_first_one(trained_shop, shop_history, home):
    b = copied(trained_shop, home)
    settings = kept(*shop_history)
    outline, _ = load_outline(settings, ONE)
    again = score_batch(outline, settings, b.release, as_of=b.run.as_of)
    assert (again.id, again.fresh) == (b.run.id, False)


def test_the_forgotten_are_in_no_share_and_not_in_the_outline(shop, shop_history):
    settings = kept(*shop_history)
    names = ids_of(shop[2])[::9]
    forgotten = Forgotten(b"k" * 32, frozenset())
    hashes = frozenset(map(forgotten.hash_id, names))
    write_forgotten(Forgotten(forgotten.key, hashes))
    whole, _ = load_history(settings)
    outline, _ = load_outline(settings, EVERY)
    end = DataEnd(outline.data_until, outline.newest_until)
    shared = [name for share in EVERY for name in ids_of(load_share(settings, share, end))]
    assert ids_of(outline) == sorted(shared) == ids_of(whole)
    assert not {*names} & {*shared}
    assert outline.forgotten == whole.forgotten != ""


def test_a_piece_that_is_damaged_or_gone_is_named_before_shares_are_planned(shop, tmp_path):
    settings = kept(shop[0], tmp_path, **{"engine.memory": "128MB"})
    piece = next((tmp_path / "history").rglob("*.parquet"))
    whole = piece.read_bytes()
    for content in (whole + b"x", b"", None):
        piece.unlink()
        if content is not None:
            piece.write_bytes(content)
        with pytest.raises(QueryFailed):
            share_plan(settings)
        piece.write_bytes(whole)
    share_plan(settings)


def ids_of(history):
    """Everybody who is known at the end of the data."""
    known = history.as_of(history.data_until).customers.collect(backend="pyarrow").to_native()
    return sorted(known["customer_id"].to_pylist())


def test_where_treatments_are_features_a_history_is_read_as_a_whole(shop_history):
    small = {"engine.memory": "128MB", "features.treatments": True}
    tables = {"tables.treatments": "SELECT * FROM transactions"}
    settings = load_settings(shop_history[0] / "lifecycle.toml", {**small, **tables})
    assert share_plan(settings) == ()
    spark = {"engine.name": "spark", "history.folder": str(shop_history[1] / "history")}
    there = load_settings(shop_history[0] / "lifecycle.toml", {**small, **tables, **spark})
    with pytest.raises(BadSetting, match="treatments"):
        share_plan(there)


@pytest.mark.parametrize(
    "shares",
    [
        ONE,
        pytest.param(EVERY, marks=pytest.mark.long),
        pytest.param(UNEVEN, marks=pytest.mark.long),
    ],
    ids=["one", "every", "uneven"],
)
def test_features_of_shares_at_two_dates_are_those_of_everybody(shop, shop_history, shares):
    _, files, history = shop
    dates = [history.data_until - days * 86_400_000_000 for days in (90, 30)]
    settings = kept(*shop_history)
    outline, _ = load_outline(settings, shares)
    built = many_dates.build_for_dates(outline, settings, as_of=dates)
    assert built.equals(many_dates.build_for_dates(history, files, as_of=dates))


def test_population_statistics_of_shares_are_those_of_everybody(shop, shop_history):
    _, files, history = shop
    dates = [history.data_until - days * 86_400_000_000 for days in (700, 30)]
    definitions = learn_definitions(history.as_of(dates[1]), files)
    settings = kept(*shop_history)
    outline, _ = load_outline(settings, UNEVEN)
    stats = share_populations(outline, settings, definitions, as_of=dates)
    assert stats == [population_stats(history.as_of(at), definitions) for at in dates]


def test_an_outline_says_of_the_data_what_the_whole_history_says(shop, shop_history):
    _, _, history = shop
    outline, _ = load_outline(kept(*shop_history), ONE)
    for fact in ("data_until", "newest_until", "versioned", "names", "columns"):
        assert getattr(outline, fact) == getattr(history, fact), fact


@pytest.mark.parametrize("join", [0, 300, 10_000])
@pytest.mark.parametrize("most", [100, 1_000, 10_000])
def test_shares_have_every_bucket_once_and_none_is_too_big_but_for_one_bucket(most, join):
    sizes = [BucketSize(n, rows=1, customers=0) for n in range(10)]
    sizes[4] = BucketSize(4, rows=20, customers=0)
    weight = {each.number: each.bytes for each in sizes}
    most, join = most * sizes[0].bytes // 100, min(join, most) * sizes[0].bytes // 100
    shares = plan_shares(sizes, most_bytes=most, join_bytes=join)
    covered = list(
        itertools.chain.from_iterable(
            range(share.first, share.last + 1) for share in shares if share.part == 0
        )
    )
    assert covered == list(range(10))
    for share in shares:
        together = sum(weight[n] for n in range(share.first, share.last + 1))
        assert together <= most * share.parts
        assert share.parts == 1 or share.first == share.last
        assert share.first == share.last or together <= join


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"history.folder": ""}, "folder"), ({"contract.terms_from": "payments"}, "payments")],
)
def test_spark_without_what_it_reads_is_refused_with_what_to_type(shop_history, changes, named):
    folder, place = shop_history
    of_history = {"history.folder": str(place / "history"), "history.buckets": BUCKETS}
    settings = load_settings(
        folder / "lifecycle.toml", {**of_history, "engine.name": "spark", **changes}
    )
    with pytest.raises(BadSetting, match=named):
        share_plan(settings)


@pytest.mark.filterwarnings("ignore")
class TestSpark:
    pytestmark = on_spark

    def test_spark_on_two_cores_gives_the_bytes_of_the_run_over_files(
        self, trained_shop, shop_history, home
    ):
        settings = kept(*shop_history, **{"engine.name": "spark", "engine.threads": 2})
        expected = files_of_run(trained_shop.run)
        assert score_in_shares(trained_shop, settings, UNEVEN, home) == expected

    def test_an_error_in_a_task_is_named_without_its_words(self):
        def task(share):
            raise KeyError("customer 17")

        with pytest.raises(StoreFailed, match="KeyError") as refusal:
            list(run_on_spark(task, [Share(0, 0)], threads=2, label="a test"))
        assert "customer 17" not in str(refusal.value)

    def test_the_command_writes_the_features_of_its_tasks(self, shop_history, tmp_path):
        folder, place = shop_history
        out = tmp_path / "features.parquet"
        changes = ["--set", f"history.folder={place / 'history'}", "--set", "engine.name=spark"]
        changes += ["--set", f"history.buckets={BUCKETS}", "--as-of", "2023-10-01", "--json"]
        done = run_here("features", "-c", folder / "lifecycle.toml", "--out", out, *changes)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == pq.read_table(out).num_rows > 0


EXECUTOR = "CoarseGrainedExecutorBackend"
CLUSTER = """
import sys
from pathlib import Path
from features.core.settings import load_settings
from features.engine import many_dates
from features.tables.outline import load_outline
from features.tables.history_store.shares import Share
import pyarrow.parquet as pq

config, history, at, out = sys.argv[1:]
changes = {"history.folder": history, "history.buckets": 7, "engine.name": "spark"}
settings = load_settings(Path(config), changes)
shares = tuple(Share(n, n) for n in range(7))
outline, _ = load_outline(settings, shares)
pq.write_table(many_dates.build_for_dates(outline, settings, as_of=[int(at)]), out)
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(not has_spark, reason="needs Java and PySpark")
def test_a_machine_that_is_lost_changes_nothing(shop, shop_history, tmp_path):
    folder, place = shop_history
    _, files, history = shop
    at = history.data_until - 30 * 86_400_000_000
    out = tmp_path / "features.parquet"
    arguments = [folder / "lifecycle.toml", place / "history", at, out]
    job = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, *map(str, arguments)],
        env=os.environ | {"LIFECYCLE_SPARK_MASTER": "local-cluster[2,1,1024]"},
    )
    assert _kill_an_executor_at_work(job), "no executor was there to be killed"
    assert job.wait(400) == 0
    expected = many_dates.build_for_dates(history, files, as_of=[at])
    assert pq.read_table(out).equals(expected)


def _kill_an_executor_at_work(job):
    """Kill one executor of the job once it computes; whether there was one."""
    until = time.monotonic() + 300
    while job.poll() is None and time.monotonic() < until:
        listed = subprocess.run(
            ["ps", "-eww", "-o", "pid=,ppid=,args="], capture_output=True, text=True
        )
        lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
        parents = {int(pid): int(parent) for pid, parent, _ in lines}
        executors = {int(pid) for pid, _, words in lines if EXECUTOR in words}
        for _, parent, words in lines:
            executor = int(parent)
            if "pyspark" in words and executor in executors and _is_below(executor, job, parents):
                os.kill(executor, signal.SIGKILL)
                return True
        time.sleep(0.2)
    return False


def _is_below(pid, job, parents):
    while pid in parents and pid != job.pid:
        pid = parents[pid]
    return pid == job.pid
