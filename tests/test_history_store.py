"""The kept history: equal to its files in every row, however it was filled; safe to interrupt."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from features.core import folder_lock
from features.core.errors import BadSetting, EmptyTable, FileMissing, QueryFailed, StoreFailed
from features.core.settings import load_settings
from features.tables.history import load_history
from features.tables.history_store import manifest as manifests
from features.tables.history_store import pieces
from features.tables.history_store.ingest import ingest
from features.tables.history_store.manifest import lock_history, read_manifest, store_folder
from tests.support.command_line import run_here


def kept_settings(folder, files, *, changes=None, buckets=7):
    """The settings of a business over other files, with a history beside them."""
    named = {f"files.{path.stem}": str(path) for path in sorted(files.glob("*.csv"))}
    of_history = {
        "history.folder": str(files.parent / "history"),
        "history.buckets": buckets,
    }
    return load_settings(folder / "lifecycle.toml", {**named, **of_history, **(changes or {})})


def tables_of(settings):
    history, _ = load_history(settings)
    names = (*history.names, *history.further)
    return history, {
        name: history.connection.execute(f"SELECT * FROM {name}").to_arrow_table() for name in names
    }


def assert_equal(kept, files):
    """Both histories have the same rows in the same order, and the same facts about them."""
    (ours, our_tables), (theirs, their_tables) = tables_of(kept), tables_of(files)
    assert our_tables.keys() == their_tables.keys()
    for name, table in their_tables.items():
        assert our_tables[name].equals(table), name
    for fact in ("data_until", "newest_until", "versioned", "unique_ids", "columns", "names"):
        assert getattr(ours, fact) == getattr(theirs, fact), fact


LONG = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def business(request):
    """The folder of the simulated business of this name."""
    folder, _, _ = request.getfixturevalue(request.param)
    return folder


def write_parts(source, place, choose):
    """Copies of the data with some of the rows of each table; empty tables have a head alone."""
    place.mkdir(parents=True, exist_ok=True)
    for path in sorted((source / "data").glob("*.csv")):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        choose(path.stem, rows).to_csv(place / path.name, index=False)


def days_of(name, rows, count, rng):
    """The part of each row, by the day it was recorded; customers by chance."""
    clock = "recorded_at" if "recorded_at" in rows else "occurred_at"
    if clock not in rows:
        return rng.integers(0, count, len(rows))
    at = pd.to_datetime(rows[clock])
    return pd.qcut(at.rank(method="first"), count, labels=False).to_numpy()


@pytest.mark.parametrize(
    ("business", "parts"),
    [
        ("shop", 1),
        ("subscriptions", 3),
        *(pytest.param(name, 12, marks=LONG) for name in ("shop", "subscriptions")),
    ],
    indirect=["business"],
)
def test_days_that_are_ingested_one_by_one_in_any_order_are_the_whole_file(
    business, tmp_path, parts
):
    rng = np.random.default_rng(parts)
    order = rng.permutation(parts)
    numbers = {}

    def choose(name, rows, wanted):
        if name not in numbers:
            numbers[name] = days_of(name, rows, parts, np.random.default_rng(9))
        return rows[numbers[name] == wanted]

    for turn in order:
        files = tmp_path / "files"
        write_parts(business, files, lambda name, rows, turn=turn: choose(name, rows, turn))
        settings = kept_settings(business, files)
        ingest(settings)
    assert_equal(settings, load_settings(business / "lifecycle.toml"))
    tables = read_manifest(store_folder(settings)).tables
    assert all(len(each.pieces) <= pieces.MOST_PIECES for each in tables.values())


@pytest.mark.parametrize(
    "business", ["shop", pytest.param("subscriptions", marks=LONG)], indirect=True
)
def test_a_whole_export_every_day_adds_what_is_new_and_a_replay_adds_nothing(business, tmp_path):
    files = tmp_path / "files"
    numbers = {}

    def until(last):
        def choose(name, rows):
            if name not in numbers:
                numbers[name] = days_of(name, rows, 5, np.random.default_rng(1))
            return rows[numbers[name] <= last]

        return choose

    for last in (2, 3, 3, 4):
        write_parts(business, files, until(last))
        settings = kept_settings(business, files)
        before = read_manifest(store_folder(settings))
        ingested = ingest(settings)
        for name, each in ingested.items():
            assert each.read == sum(each.rejected.values()) + each.known + each.new, name
            known = 0 if before is None else before.tables[name].rows
            assert each.total == known + each.new
            assert each.absent == each.replaced == 0
    write_parts(business, files, until(4))
    assert not any(each.new for each in ingest(settings).values())
    assert_equal(settings, load_settings(business / "lifecycle.toml"))


@pytest.fixture
def small(tmp_path):
    """A tiny shop: write(tables) writes CSV files; settings(**changes) are those of its history."""
    (tmp_path / "lifecycle.toml").write_text(
        '[files]\nsales = "files/sales.csv"\npeople = "files/people.csv"\n'
        '[tables]\ntransactions = "SELECT * FROM sales"\ncustomers = "SELECT * FROM people"\n'
        '[contract]\nconstant_attributes = ["region"]\n'
        '[history]\nfolder = "history"\nbuckets = 4\n'
    )
    (tmp_path / "files").mkdir()

    def write(sales, people=None):
        rows = pd.DataFrame(
            sales, columns=["transaction_id", "customer_id", "occurred_at", "amount"]
        )
        rows.to_csv(tmp_path / "files" / "sales.csv", index=False)
        people = people or [("a", "north"), ("b", "south")]
        rows = pd.DataFrame(people, columns=["customer_id", "region"])
        rows.to_csv(tmp_path / "files" / "people.csv", index=False)

    def settings(**changes):
        return load_settings(tmp_path / "lifecycle.toml", changes)

    return write, settings


FIRST = [("1", "a", "2024-01-01T10:00:00Z", 10), ("2", "b", "2024-01-02T10:00:00Z", 20)]
SECOND = [("3", "a", "2024-01-03T10:00:00Z", 30)]


def amounts(settings):
    history, _ = load_history(settings)
    rows = history.connection.execute("SELECT transaction_id, amount FROM transactions")
    return dict(rows.fetchall())


def test_a_row_that_was_corrected_without_a_clock_counts_as_in_the_newer_file(small):
    write, settings = small
    write(FIRST)
    ingest(settings())
    write([("1", "a", "2024-01-01T10:00:00Z", 15), *FIRST[1:], *SECOND])
    ingested = ingest(settings())["transactions"]
    assert (ingested.new, ingested.replaced, ingested.absent, ingested.total) == (2, 1, 0, 3)
    assert amounts(settings()) == {"1": 1500, "2": 2000, "3": 3000}
    write([FIRST[0]])
    assert ingest(settings())["transactions"].new == 1  # the old cells again are a correction, too
    assert amounts(settings())["1"] == 1000


def test_an_attribute_that_changed_is_that_of_the_newer_file_as_when_files_are_read(small):
    write, settings = small
    write(FIRST)
    ingest(settings())
    write(SECOND, people=[("a", "west"), ("c", "east")])
    assert ingest(settings())["customers"].replaced == 1
    history, _ = load_history(settings())
    rows = history.connection.execute("SELECT customer_id, region FROM customers").fetchall()
    assert rows == [("a", "west"), ("b", "south"), ("c", "east")]


def test_rows_that_are_gone_from_a_whole_export_stay_and_are_counted(small):
    write, settings = small
    sales = [(str(n), "a", f"2024-01-{n:02}T10:00:00Z", n) for n in range(1, 11)]
    write(sales)
    ingest(settings())
    write([*sales[:4], *sales[5:]])
    ingested = ingest(settings())["transactions"]
    assert (ingested.new, ingested.absent, ingested.looks_whole) == (0, 1, True)
    assert len(amounts(settings())) == 10


def test_a_new_day_without_rows_of_a_table_is_a_day_and_the_first_one_is_an_error(small):
    write, settings = small
    write([])
    with pytest.raises(EmptyTable):
        ingest(settings())
    write(FIRST)
    ingest(settings())
    write([])
    ingested = ingest(settings())["transactions"]
    assert (ingested.read, ingested.new, ingested.total) == (0, 0, 2)
    assert len(amounts(settings())) == 2


def test_without_an_ingest_it_says_what_to_type(small):
    write, settings = small
    write(FIRST)
    with pytest.raises(FileMissing, match="lifecycle ingest"):
        load_history(settings())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"business.zone": "Asia/Tokyo"}, "business.zone"),
        ({"tables.transactions": "SELECT * FROM sales WHERE amount <> '1'"}, "transactions"),
        ({"contract.arrives_after_hours": {"transactions": 3}}, "arrives_after_hours"),
        ({"history.buckets": 5}, "history.buckets"),
    ],
)
def test_another_configuration_is_refused_by_name_in_reading_and_in_adding(small, change, named):
    write, settings = small
    write(FIRST)
    ingest(settings())
    for attempt in (ingest, load_history):
        with pytest.raises(BadSetting) as refusal:
            attempt(settings(**change))
        assert named in refusal.value.got
    assert len(amounts(settings())) == 2


def test_equal_rows_that_are_to_count_twice_are_refused(small):
    write, settings = small
    write(FIRST)
    with pytest.raises(BadSetting, match="counts rows that are equal"):
        ingest(settings(**{"contract.exact_duplicates": "keep"}))


def test_another_column_is_refused_and_nothing_is_added(small, tmp_path):
    write, settings = small
    write(FIRST)
    ingest(settings())
    rows = pd.DataFrame(SECOND, columns=["transaction_id", "customer_id", "occurred_at", "amount"])
    rows.assign(category="x").to_csv(tmp_path / "files" / "sales.csv", index=False)
    with pytest.raises(BadSetting, match="same columns"):
        ingest(settings())
    assert len(amounts(settings())) == 2


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "manifest", "format"])
def test_a_damaged_history_is_an_error_and_no_history_without_some_rows(small, tmp_path, harm):
    write, settings = small
    write(FIRST)
    ingest(settings())
    [piece] = (tmp_path / "history" / "transactions").glob("*.parquet")
    manifest = tmp_path / "history" / manifests.FILE
    content = piece.read_bytes()
    if harm == "flip":
        piece.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    elif harm == "truncate":
        piece.write_bytes(content[:-3])
    elif harm == "remove":
        piece.unlink()
    elif harm == "manifest":
        manifest.write_text(manifest.read_text()[:-5])
    else:
        manifest.write_text(manifest.read_text().replace('"rows": 2', '"rows": 3'))
    for attempt in (ingest, load_history):
        with pytest.raises(QueryFailed, match="hash that the manifest says"):
            attempt(settings())


def test_the_pieces_are_their_owner_s_and_sorted_by_a_bucket_that_any_engine_computes(
    small, tmp_path
):
    write, settings = small
    write([(str(n), f"c{n % 9}", "2024-01-01T10:00:00Z", n) for n in range(1, 60)])
    ingest(settings())
    [piece] = (tmp_path / "history" / "transactions").glob("*.parquet")
    assert piece.stat().st_mode & 0o077 == 0
    rows = pd.read_parquet(piece)
    expected = [int(md5_of(name)[:8], 16) % 4 for name in rows["customer_id"]]
    assert rows["lifecycle.bucket"].tolist() == expected == sorted(expected)


def md5_of(text):
    import hashlib

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Killed(BaseException):
    """A process that ends at once."""


@pytest.mark.parametrize("merges", [False, True])
def test_an_ingest_that_is_killed_at_any_write_leaves_the_history_as_it_was(
    small, tmp_path, monkeypatch, merges
):
    write, settings = small
    if merges:
        monkeypatch.setattr(pieces, "MOST_PIECES", 1)
    write(FIRST)
    ingest(settings())
    saved = tmp_path / "saved"
    shutil.copytree(tmp_path / "history", saved)
    write(SECOND, people=[("a", "west")])
    real, points = os.replace, 0
    while True:
        shutil.rmtree(tmp_path / "history")
        shutil.copytree(saved, tmp_path / "history")
        calls = iter(range(points + 1))

        def kill(source, target, calls=calls):
            if next(calls, None) is None:
                raise Killed
            real(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", kill)
            try:
                ingest(settings())
                break
            except Killed:
                pass
        assert amounts(settings()) == {"1": 1000, "2": 2000}
        ingest(settings())
        assert amounts(settings()) == {"1": 1000, "2": 2000, "3": 3000}
        points += 1
    assert points >= 2
    ingest(settings())
    named = {
        piece.file
        for table in read_manifest(tmp_path / "history").tables.values()
        for piece in table.pieces
    }
    files = {str(path.relative_to(tmp_path / "history")) for path in history_files(tmp_path)}
    assert files == named


def history_files(tmp_path):
    return (tmp_path / "history").glob("*/*")


def test_two_at_once_are_one_after_the_other(small, monkeypatch):
    monkeypatch.setattr(folder_lock, "LOCK_WAIT_SECONDS", 0)
    write, settings = small
    write(FIRST)
    config = settings()
    with (
        lock_history(store_folder(config)),
        pytest.raises(StoreFailed, match="One `lifecycle ingest` at a time"),
    ):
        ingest(config)


def test_the_command_counts_and_every_other_command_reads_the_history(small, tmp_path):
    write, _ = small
    write([*FIRST, ("9", "b", "2024-01-05T10:00:00Z", "many")])
    config = tmp_path / "lifecycle.toml"
    done = run_here("ingest", "-c", config, "--json")
    assert done.returncode == 0, done.stderr
    [sales] = [
        each for name, each in json.loads(done.stdout)["tables"].items() if name == "transactions"
    ]
    assert (sales["read"], sales["new"], sales["total"]) == (3, 2, 2)
    assert sum(sales["rejected"].values()) == 1
    shutil.rmtree(tmp_path / "files")
    done = run_here("stages", "-c", config, "--out", tmp_path / "stages.csv")
    assert done.returncode == 0, done.stderr
    again = run_here("ingest", "-c", config)
    assert again.returncode == 3
    assert "files" in again.stderr


@pytest.mark.parametrize("where", [".", "files", "other"])
def test_a_folder_with_other_content_is_refused_and_stays_as_it_is(small, tmp_path, where):
    write, settings = small
    write(FIRST)
    (tmp_path / "other" / "mine").mkdir(parents=True)
    (tmp_path / "other" / "mine" / "precious.parquet").write_bytes(b"x")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(QueryFailed, match="history's alone"):
        ingest(settings(**{"history.folder": where}))
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("harm", ["gone", "link", "folder"])
def test_pieces_without_a_manifest_are_damage_and_no_new_history(small, tmp_path, harm):
    write, settings = small
    write(FIRST)
    ingest(settings())
    manifest = tmp_path / "history" / manifests.FILE
    manifest.unlink()
    if harm == "link":
        manifest.symlink_to(tmp_path / "nowhere")
    elif harm == "folder":
        manifest.mkdir()
    pieces_before = sorted(history_files(tmp_path))
    for attempt in (ingest, load_history):
        with pytest.raises(QueryFailed):
            attempt(settings())
    assert sorted(history_files(tmp_path)) == pieces_before


def test_an_old_manifest_does_not_remove_the_pieces_of_a_later_ingest(small, tmp_path):
    write, settings = small
    write(FIRST)
    ingest(settings())
    manifest = tmp_path / "history" / manifests.FILE
    old = manifest.read_bytes()
    for day in (4, 5):
        write([(str(day), "a", f"2024-01-0{day}T10:00:00Z", day)])
        ingest(settings())
    before = set(history_files(tmp_path))
    manifest.write_bytes(old)
    ingest(settings())
    assert before <= set(history_files(tmp_path))


def test_a_date_that_was_corrected_to_an_earlier_day_is_that_day_alone(small):
    write, settings = small
    write(FIRST)
    ingest(settings())
    moved = [FIRST[0], ("2", "b", "2023-12-01T10:00:00Z", 20)]
    write(moved)
    assert ingest(settings())["transactions"].replaced == 1
    history, _ = load_history(settings())
    plain, _ = load_history(settings(**{"history.folder": ""}))
    query = "SELECT * FROM transactions"
    ours, theirs = (each.connection.execute(query).to_arrow_table() for each in (history, plain))
    assert ours.equals(theirs)
    assert history.data_until == plain.data_until


@pytest.fixture
def with_complaints(tmp_path):
    """Complaints without an id, of which the answer comes later: write(rows), settings()."""
    (tmp_path / "lifecycle.toml").write_text(
        '[files]\nsales = "sales.csv"\nfeedback = "feedback.csv"\n'
        '[tables]\ntransactions = "SELECT * FROM sales"\nfeedback = "SELECT * FROM feedback"\n'
        '[history]\nfolder = "history"\n'
    )
    sales = pd.DataFrame(FIRST, columns=["transaction_id", "customer_id", "occurred_at", "amount"])
    sales.to_csv(tmp_path / "sales.csv", index=False)

    def write(rows):
        names = ["customer_id", "occurred_at", "kind", "resolved_at"]
        pd.DataFrame(rows, columns=names).to_csv(tmp_path / "feedback.csv", index=False)

    return write, lambda **changes: load_settings(tmp_path / "lifecycle.toml", changes)


@pytest.mark.parametrize("whole", [True, False])
def test_a_complaint_that_is_resolved_later_is_one_complaint(with_complaints, whole):
    write, settings = with_complaints
    first = [("a", "2024-01-03T10:00:00Z", "complaint", None)]
    others = [("b", "2024-01-03T11:00:00Z", "complaint", None)]
    write(first + others)
    ingest(settings())
    resolved = [("a", "2024-01-03T10:00:00Z", "complaint", "2024-01-04T09:00:00Z")]
    write(resolved + others * whole)
    ingested = ingest(settings())["feedback"]
    assert (ingested.new, ingested.replaced, ingested.total) == (1, 1, 2)
    write(resolved + others)
    assert ingest(settings())["feedback"].new == 0
    ours, theirs = (
        load_history(settings(**change))[0].connection.execute("SELECT * FROM feedback")
        for change in ({}, {"history.folder": ""})
    )
    assert ours.to_arrow_table().equals(theirs.to_arrow_table())


@pytest.mark.long
def test_an_attribute_may_have_any_name_and_many_days_of_changes_merge(small, tmp_path):
    write, settings = small
    text = (tmp_path / "lifecycle.toml").read_text()
    (tmp_path / "lifecycle.toml").write_text(text.replace('["region"]', '["bucket", "_key"]'))
    regions = ["gold", "iron", "gold", "tin"]
    for day in range(12):
        write([(str(day), "a", f"2024-01-{day + 1:02}T10:00:00Z", day)])
        people = [("a", regions[day % 4], "x"), ("b", "iron", regions[(day + 1) % 4])]
        rows = pd.DataFrame(people, columns=["customer_id", "bucket", "_key"])
        rows.to_csv(tmp_path / "files" / "people.csv", index=False)
        ingest(settings())
    write([(str(day), "a", f"2024-01-{day + 1:02}T10:00:00Z", day) for day in range(12)])
    rows.to_csv(tmp_path / "files" / "people.csv", index=False)
    assert_equal(settings(), settings(**{"history.folder": ""}))
    table = read_manifest(tmp_path / "history").tables["customers"]
    assert len(table.pieces) <= pieces.MOST_PIECES
    write([])
    rows.head(0).to_csv(tmp_path / "files" / "people.csv", index=False)
    assert ingest(settings())["customers"].total == 2


def test_two_currencies_on_two_days_are_as_refused_as_on_one(small, tmp_path):
    write, settings = small
    for currency, rows in (("EUR", FIRST), ("EUR", FIRST), ("JPY", SECOND)):
        write(rows)
        path = tmp_path / "files" / "sales.csv"
        pd.read_csv(path).assign(currency=currency).to_csv(path, index=False)
        text = (tmp_path / "lifecycle.toml").read_text()
        selected = "SELECT transaction_id, customer_id, occurred_at, amount FROM sales"
        text = text.replace('"SELECT * FROM sales"', f'"{selected}"')
        (tmp_path / "lifecycle.toml").write_text(text)
        ingest(settings())
        history, _ = load_history(settings())
        expected = {"EUR": 2, "JPY": 1} if currency == "JPY" else {}
        assert history.currencies.get("transactions", {}) == expected


def test_a_further_table_may_be_empty_at_first_and_may_join_later(small, tmp_path):
    write, settings = small
    write(FIRST)
    ingest(settings())
    names = "customer_id,occurred_at,campaign,arm"
    (tmp_path / "files" / "treatments.csv").write_text(names + "\n")
    joined = {
        "files.treatments": "files/treatments.csv",
        "tables.treatments": "SELECT * FROM treatments",
    }
    history, _ = load_history(settings(**joined))
    assert history.further == ("treatments",)
    assert ingest(settings(**joined))["treatments"].total == 0
    (tmp_path / "files" / "treatments.csv").write_text(
        names + "\na,2024-01-02T10:00:00Z,spring,treated\n"
    )
    assert ingest(settings(**joined))["treatments"].total == 1
    history, _ = load_history(settings(**joined))
    assert history.connection.execute("SELECT count(*) FROM treatments").fetchone() == (1,)


def test_a_folder_named_like_a_column_gives_no_column(small, tmp_path):
    write, settings = small
    write(FIRST)
    place = tmp_path / "customer_id=zz" / "amount=7"
    place.mkdir(parents=True)
    for name in ("sales", "people"):
        shutil.copy(tmp_path / "files" / f"{name}.csv", place / f"{name}.csv")
    changes = {f"files.{name}": str(place / f"{name}.csv") for name in ("sales", "people")}
    ingest(settings(**changes, **{"history.folder": str(place / "history *")}))
    plain, _ = load_history(settings(**changes, **{"history.folder": ""}))
    kept, _ = load_history(settings(**changes, **{"history.folder": str(place / "history *")}))
    query = "SELECT customer_id, amount FROM transactions ORDER BY 1"
    expected = [("a", 1000), ("b", 2000)]
    assert plain.connection.execute(query).fetchall() == expected
    assert kept.connection.execute(query).fetchall() == expected
