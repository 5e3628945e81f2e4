"""Who is forgotten is in no table that is kept, comes back by no door, and nobody else changes."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.errors import (
    BadSetting,
    EmptyTable,
    FileMissing,
    QueryFailed,
    StoreFailed,
    WrongType,
)
from features.core.file_hashes import hash_file
from features.core.forgotten import forgotten_path, read_forgotten
from features.core.settings import load_settings
from features.tables.history import load_history
from features.tables.history_store.ingest import ingest
from serving.api.lookup import load_lookup
from serving.batch import run_folders, run_manifest
from serving.batch.destinations.send import parse_destination
from serving.batch.writers import write_table_for_spreadsheets
from serving.campaigns.decided import read_decided
from serving.campaigns.store import read_campaign, write_campaign
from serving.forget.forget import forget, let_go
from serving.forget.id_list import IdList, read_id_list
from serving.value.scored_tables import run_of_day
from tests.support.businesses import copied
from tests.support.campaigns import plan_at
from tests.support.checks import nonempty
from tests.support.command_line import run_here, write_shop
from training.holdout_file import find_holdout


def strings_of(path):
    """Every text of a file that may be an id: the cells of a table, the words of all others."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return {
            text
            for column in table.columns
            if pa.types.is_string(column.type)
            for text in column.unique().to_pylist()
        }
    return set(re.findall(r"[\w-]+", path.read_text(encoding="utf-8", errors="replace")))


def places_of(ids, *roots):
    """The files below the folders in which one of the ids stands."""
    ids = set(ids)
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    # A release and its copy in the tracking store hold golden rows, whose ids are invented.
    kept = [path for path in files if not {"releases", "artifacts"} & {*path.parts}]
    return [path for path in nonempty(kept) if ids & strings_of(path)]


@pytest.fixture
def forgetful(without_them, monkeypatch):
    """What `without_them` made, with LIFECYCLE_HOME at its home."""
    monkeypatch.setenv("LIFECYCLE_HOME", str(without_them[0].home))
    return without_them


@pytest.fixture(scope="module")
def without_them(trained_shop, tmp_path_factory):
    """A shop with everything that is kept of customers, after a quarter of them was forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("LIFECYCLE_HOME", str(home))
        own = copied(trained_shop, home)
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        before = pq.read_table(own.run.folder / "scores.parquet")
        everybody = before["customer_id"].to_pylist()
        ids = everybody[::4]
        plan = plan_at(own.run.as_of, everybody, np.random.default_rng(1))
        write_campaign("spring", plan, {"as_of": own.run.as_of, "horizon_days": 30})
        write_table_for_spreadsheets(before, own.run.folder / "report" / "lists" / "all.csv")
        for name in ("scores.csv", "scores.parquet", "scores.duckdb"):
            parse_destination(str(elsewhere / name)).send(own.run.folder)
        # A job that was killed while it wrote.
        leftover = home / "scores" / ".staged-killed"
        leftover.mkdir()
        pq.write_table(before, leftover / "scores.parquet")
        history = own.settings.history.model_copy(update={"folder": str(home / "history")})
        settings = own.settings.model_copy(update={"history": history})
        ingest(settings)
        listed = IdList((*ids, "nobody-of-this-name"), 0)
        also = [str(elsewhere / name) for name in ("scores.csv", "scores.parquet", "scores.duckdb")]
        counted = forget(settings, listed, also=also, dry_run=True)
        assert places_of(ids, home, elsewhere)
        receipt = forget(settings, listed, also=also)
        return own, settings, ids, before, (counted, receipt), elsewhere


def test_a_scan_of_the_home_and_of_the_named_places_has_none_of_them(forgetful):
    own, _, ids, _before, _, elsewhere = forgetful
    assert len(ids) > 50
    assert places_of(ids, own.home, elsewhere) == []
    # A row that was deleted in place would stay readable in free blocks.
    with duckdb.connect(str(elsewhere / "scores.duckdb"), read_only=True) as connection:
        [size] = connection.execute("PRAGMA database_size").to_arrow_table().to_pylist()
    assert size["free_blocks"] == 0


def test_the_scores_of_all_others_keep_every_bit(forgetful):
    own, _, ids, before, _, elsewhere = forgetful
    others = before.filter(pc.invert(pc.is_in(before["customer_id"], pa.array(ids))))
    assert pq.read_table(own.run.folder / "scores.parquet").equals(others, check_metadata=True)
    sent = pq.read_table(elsewhere / "scores.parquet").drop_columns(["run_id"])
    assert sent.equals(others)
    with duckdb.connect(str(elsewhere / "scores.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT p_churn FROM lifecycle_scores ORDER BY customer_id")
        assert rows.to_arrow_table()["p_churn"].to_pylist() == others["p_churn"].to_pylist()
    lines = (elsewhere / "scores.csv").read_text().splitlines()
    assert len(lines) == 1 + others.num_rows


def test_run_latest_and_campaign_are_read_as_before(forgetful):
    own, _settings, ids, before, _, _ = forgetful
    about = json.loads((own.run.folder / "manifest.json").read_text())
    for name, each in about["files"].items():
        assert hash_file(own.run.folder / name) == each
    assert about["rows"] == before.num_rows - len(ids)
    assert about["forgotten_rows"] > len(ids)
    lookup = load_lookup(own.run.folder)
    assert lookup.row_of(ids[0]) is None
    assert len(lookup.ids) == about["rows"]
    assert run_of_day(own.settings, own.run.as_of) == own.run.folder
    campaign = read_campaign("spring")
    assert campaign.plan.num_rows == about["rows"]
    assert not set(read_decided().ids) & set(ids)
    predicted, _ = find_holdout(own.release.id)
    assert predicted.num_rows


def test_what_stands_behind_a_link_is_named_and_not_changed(forgetful, tmp_path):
    _own, settings, ids, before, _, _ = forgetful
    (tmp_path / "named").mkdir()
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(before, theirs)
    (tmp_path / "named" / "link.parquet").symlink_to(theirs)
    (tmp_path / "named" / "folder").symlink_to(tmp_path)
    receipt = forget(settings, IdList(tuple(ids), 0), also=[str(tmp_path / "named")], dry_run=True)
    assert [Path(each).name for each in receipt["unreadable"]] == [
        "folder (a link)",
        "link.parquet (a link)",
    ]
    assert pq.read_table(theirs).equals(before)


def test_a_campaign_of_which_somebody_was_forgotten_stands(forgetful):
    before = read_campaign("spring")
    with pytest.raises(BadSetting, match="forgotten since") as refused:
        write_campaign("spring", before.plan.slice(1), dict(before.about))
    assert "remove the folder" not in str(refused.value.fix)
    assert read_campaign("spring").plan.equals(before.plan)


def test_the_receipt_counts_and_names_nobody(forgetful):
    own, _settings, ids, _before, (counted, receipt), _ = forgetful
    assert {**counted, "dry_run": False} == {
        key: value for key, value in receipt.items() if key != "receipt"
    }
    assert (receipt["ids"], receipt["nowhere"]) == (len(ids) + 1, 1)
    assert all(receipt["rows"][place] for place in ("runs", "campaigns", "predictions"))
    assert receipt["rows"]["kept history"] > len(ids)
    assert receipt["rows"]["elsewhere"] == 2 * receipt["rows"]["databases"] == 2 * len(ids)
    [release] = receipt["releases"]
    assert 0 < release["evaluated_on"] <= release["may_have_learned_from"] <= len(ids)
    assert receipt["still_in_files"]["transactions"]["rows"] > len(ids)
    path = own.home / receipt["receipt"]
    assert path.stat().st_mode & 0o077 == 0
    assert not strings_of(path) & set(ids)
    assert forgotten_path().stat().st_mode & 0o777 == 0o600


def test_no_door_brings_them_back(forgetful):
    own, settings, ids, before, _, _ = forgetful
    for config in (settings, own.settings):
        history, counts = load_history(config)
        for name in nonempty(history.names):
            known = history.connection.execute(f"SELECT DISTINCT customer_id FROM {name}")
            assert not {row[0] for row in known.fetchall()} & set(ids)
    assert counts["transactions"].forgotten > len(ids)
    assert counts["transactions"].read == counts["transactions"].kept + sum(
        counts["transactions"].rejected.values()
    )
    # The files still have them: what is ingested again has not.
    assert all(each.new == 0 for each in ingest(settings).values())
    with pytest.raises(StoreFailed, match="Nothing is written of a customer who is forgotten"):
        run_folders.score_batch(own.history, own.settings, own.release, as_of=own.run.as_of)
    latest = (own.home / "scores" / "LATEST").read_bytes()
    run = run_folders.score_batch(history, own.settings, own.release, as_of=own.run.as_of)
    scored = pq.read_table(run.folder / "scores.parquet")["customer_id"].to_pylist()
    assert run.fresh
    assert not set(scored) & set(ids)
    assert len(scored) == before.num_rows - len(ids)
    # Other tests read this home, too.
    shutil.rmtree(run.folder)
    (own.home / "scores" / "LATEST").write_bytes(latest)


ROWS = [(name, f"2024-0{m}-01T10:00:00Z", 10) for name in ("007", "b", "c") for m in (1, 2, 3)]


@pytest.fixture
def small(home, tmp_path):
    """A home with two runs, a campaign, predictions and a kept history of three customers."""
    (tmp_path / "shop").mkdir()
    config = write_shop(tmp_path / "shop", ROWS)
    with config.open("a") as file:
        file.write('[history]\nfolder = "history"\n')
    settings = load_settings(config)
    ingest(settings)
    people = pa.table({"customer_id": ["007", "b", "c"], "p_churn": [0.1, 0.2, 0.3]})
    events = pa.table({"customer_id": ["007", "b", "b"], "occurred_at": [1, 2, 3]})
    for day in ("2024-01-01", "2024-01-02"):
        folder = home / "scores" / f"as_of={day}" / "run=0123456789abcdef"
        (folder / "history").mkdir(parents=True)
        for name in ("scores", "features", "population"):
            pq.write_table(people, folder / f"{name}.parquet")
        pq.write_table(events, folder / "history" / "transactions.parquet")
        text = run_manifest.manifest_text(folder, {"as_of": 1, "run": "0123"}, ["transactions"])
        (folder / "manifest.json").write_text(text)
    plan = plan_at(1, ["007", "b", "c"], np.random.default_rng(1))
    write_campaign("spring", plan, {"as_of": 1, "horizon_days": 30})
    (home / "mlruns" / "holdout" / "a").mkdir(parents=True)
    pq.write_table(people, home / "mlruns" / "holdout" / "a" / "predictions.parquet")
    return home, settings, config


def check_whole(home, settings):
    """Every reader takes what is there: all of somebody, or nothing."""
    for path in nonempty([*(home / "scores").rglob("manifest.json")]):
        about = run_manifest.read_about(path.parent)
        extra = {key: about[key] for key in about if key not in ("files", "rows")}
        assert run_manifest.is_whole(path.parent, extra, ["transactions"])
    read_campaign("spring")
    load_history(settings)


@pytest.mark.parametrize(
    "points",
    [range(0, 60, 9), pytest.param(range(60), marks=[pytest.mark.slow, pytest.mark.long])],
    ids=["some", "all"],
)
def test_a_kill_at_any_write_is_ended_by_the_same_command(small, tmp_path, points):
    home, settings, _ = small
    # Without its files the command looks for nobody in them, which is sooner.
    shutil.move(tmp_path / "shop" / "t.csv", tmp_path / "t.csv")
    listed, roots = IdList(("007",), 0), (home, tmp_path / "shop" / "history")
    saved = [shutil.copytree(root, tmp_path / f"saved-{n}") for n, root in enumerate(roots)]
    for point in points:
        for root, copy in zip(roots, saved, strict=True):
            shutil.rmtree(root)
            shutil.copytree(copy, root)
        killed = killed_at(point, lambda: forget(settings, listed))
        receipt = forget(settings, listed)
        assert (receipt["ids"], receipt["already_forgotten"]) == (1, int(point > 0))
        assert places_of(["007"], *roots) == []
        check_whole(home, settings)
        assert not list(home.rglob("*.forget"))
        assert not (home / "forgotten" / "rewriting.json").exists()
        if not killed:
            break
    assert not killed
    assert point > 12


class Killed(BaseException):
    """A process that ends at once."""


def killed_at(point, action):
    """Run it until its `point`-th rename or removal; no cleaning up comes after that either."""
    real, calls = {name: getattr(os, name) for name in ("replace", "unlink", "rmdir")}, []

    def ends_at(name):
        def call(*args, **options):
            calls.append(name)
            if len(calls) > point:
                raise Killed
            return real[name](*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(os, name, ends_at(name))
        try:
            action()
        except Killed:
            return True
    return False


def test_a_damaged_file_stays_a_damaged_one_and_one_that_cannot_be_read_is_named(small):
    home, settings, _ = small
    first, second = sorted((home / "scores").glob("as_of=*/run=*"))
    pq.write_table(pa.table({"customer_id": ["007", "x"]}), first / "features.parquet")
    (second / "features.parquet").write_bytes(b"no table")
    other = home / "decisions" / "other.csv"
    other.write_text("customer_id;p\n007;1\n")
    receipt = forget(settings, IdList(("007",), 0))
    about = run_manifest.read_about(first)
    assert about["files"]["features.parquet"] != hash_file(first / "features.parquet")
    assert about["files"]["scores.parquet"] == hash_file(first / "scores.parquet")
    assert receipt["unreadable"] == [
        "decisions/other.csv",
        (second / "features.parquet").relative_to(home).as_posix(),
    ]


def test_they_are_left_out_until_no_table_has_them_and_they_are_let_go(small, tmp_path):
    _home, settings, config = small
    forget(settings, IdList(("007", "never-here"), 0))
    with pytest.raises(BadSetting, match="Who is in no file of one day"):
        let_go(settings)
    whole = load_settings(config, {"history.folder": ""})
    assert let_go(whole, dry_run=True)["let_go"] == 1
    assert len(read_forgotten().hashes) == 2
    assert let_go(whole)["forgotten"] == 1
    write_shop(tmp_path / "shop", [row for row in ROWS if row[0] != "007"])
    assert let_go(whole)["forgotten"] == 0
    # A customer who comes back is a new one.
    write_shop(tmp_path / "shop", ROWS)
    _history, counts = load_history(whole)
    assert counts["transactions"].read == len(ROWS)


def test_a_damaged_list_of_the_forgotten_stops_every_reader(small):
    _, settings, _ = small
    forget(settings, IdList(("007",), 0))
    forgotten_path().write_text("{}")
    with pytest.raises(StoreFailed, match="without it they would come back"):
        load_history(settings)


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (b"007\n\n b \n007\n", ("007", "b")),
        (b"\xef\xbb\xbfcustomer_id\r\n007\r\nb\r\n", ("007", "b")),
        ("customer_id\n007\n".encode("utf-16"), ("007",)),
        (b'name,Customer_ID\n"a, b",007\nc,"x,y"\n', ("007", "x,y")),
        (b"id;name\n007;a\n", ("007",)),
        (b'"007"\n', ("007",)),
    ],
)
def test_a_list_is_one_id_a_line_or_a_csv_file(tmp_path, content, ids):
    (tmp_path / "ids.txt").write_bytes(content)
    listed = read_id_list(tmp_path / "ids.txt")
    assert listed.ids == ids
    assert listed.repeated == content.count(b"007\n") - 1 if content.startswith(b"007") else True


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyTable),
        (b"customer_id\n", EmptyTable),
        (b"17.0\n18\n", WrongType),
        (b"1.23457E+11\n", WrongType),
        (b"a,b\n1,2\n", QueryFailed),
        (b"\xff\xfe\xfd", QueryFailed),
        (b"PK\x03\x04\0\0", QueryFailed),
        (None, FileMissing),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, content, error):
    path = tmp_path / "ids.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error) as caught:
        read_id_list(path)
    assert "1.23457" not in str(caught.value)
    if error is WrongType:
        assert read_id_list(path, as_written=True).ids


def test_the_command_asks_for_a_word_and_says_no_id(small, tmp_path):
    home, _, config = small
    path = tmp_path / "gone.txt"
    path.write_text("007\n007\nzzz-9\n")
    assert run_here("forget", "-c", config, "--ids", path).returncode == 2
    assert run_here("forget", "-c", config, "--yes").returncode == 2
    looked = run_here("forget", "-c", config, "--ids", path, "--dry-run")
    assert "2 customers would be forgotten" in looked.stdout
    assert not (home / "forgotten").exists()
    done = run_here("forget", "-c", config, "--ids", path, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert (receipt["repeated"], receipt["nowhere"], receipt["rows"]["runs"]) == (1, 1, 8)
    for text in (looked.stdout, looked.stderr, done.stdout, done.stderr):
        assert not {"007", "zzz-9"} & set(re.findall(r"[\w-]+", text))
    again = run_here("forget", "-c", config, "--ids", path, "--yes")
    assert "2 were forgotten before" in again.stdout
    with pytest.raises(BadSetting, match="are yours"):
        forget(load_settings(config), IdList(("b",), 0), also=[str(config.parent)])
