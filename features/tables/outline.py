"""A kept history that is read share by share: its outline, and the rows of one share.

The outline has views over the pieces in place of tables. It answers what one pass over the rows
answers (until when the data reach, which table is silent), and nothing of it stays in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from features.core.errors import BadSetting
from features.core.forgotten import read_forgotten
from features.core.settings import Settings
from features.tables.history import History, history_from_connection, history_from_tables
from features.tables.history_store.manifest import check_pieces
from features.tables.history_store.read import open_store, read_outline, read_share
from features.tables.history_store.shares import (
    TASK_BYTES,
    Share,
    plan_shares,
    read_bucket_sizes,
    share_limit,
)
from features.tables.sources import connect
from features.tables.typed_tables import RowCounts

UNITS = {"MB": 10**6, "GB": 10**9}


@dataclass(frozen=True)
class DataEnd:
    """Until when the data of all customers reach (`History`), in µs UTC."""

    data_until: int
    newest_until: int


def share_plan(settings: Settings) -> tuple[Share, ...]:
    """The shares in which a kept history is read; none where it is read as a whole.

    On Spark a share is a bucket, or several small ones; otherwise there are as few as [engine]
    memory allows, and none where one is enough, where files are read, where terms are built
    from payments (their periods are those of all customers), and where treatments are features.
    BadSetting where Spark cannot read shares.
    """
    spark = settings.engine.name == "spark"
    if spark:
        _refuse_without_shares(settings)
    if settings.history.folder is None or settings.built_terms or settings.features.treatments:
        return ()
    folder, manifest = open_store(settings)
    connection = connect(memory=settings.engine.memory, threads=settings.engine.threads)
    try:
        sizes = read_bucket_sizes(connection, folder, manifest)
    except duckdb.Error:
        check_pieces(folder, manifest)  # names the piece that is not as it was written
        raise
    finally:
        connection.close()
    most = share_limit(memory_bytes(settings.engine.memory))
    join = min(most, TASK_BYTES) if spark else most
    shares = plan_shares(sizes, most_bytes=most, join_bytes=join)
    return tuple(shares) if spark or len(shares) > 1 else ()


def memory_bytes(text: str) -> int:
    """The number of bytes of a limit such as 512MB.

    >>> memory_bytes("4GB")
    4000000000
    """
    return int(text[:-2]) * UNITS[text[-2:]]


def load_outline(
    settings: Settings, shares: tuple[Share, ...]
) -> tuple[History, dict[str, RowCounts]]:
    """The History over views of a kept history, with `shares`, and the row counts by table."""
    forgotten = read_forgotten().mark  # before the tables: who is forgotten meanwhile is noticed
    history, counts = history_from_tables(read_outline(settings), settings, forgotten=forgotten)
    return replace(history, shares=shares), counts


def load_share(settings: Settings, share: Share, end: DataEnd) -> History:
    """The History of the customers of one share, whose data end where those of all end."""
    tables = read_share(settings, share)
    history = history_from_connection(tables.connection, settings, data_until=end.data_until)
    columns = {name: tuple(counts.columns) for name, counts in tables.counts.items()}
    return replace(
        history,
        columns=columns,
        further=(),
        data_until=end.data_until,
        newest_until=end.newest_until,
    )


def _refuse_without_shares(settings: Settings) -> None:
    if settings.history.folder is None:
        raise BadSetting(
            where="[engine] name",
            got="spark, without [history] folder",
            rule="Spark reads a kept history, each task the rows of its own customers.",
            fix='Write [history] folder = "history" and type: lifecycle ingest. Or write '
            '[engine] name = "duckdb".',
        )
    if settings.built_terms:
        raise BadSetting(
            where="[engine] name",
            got='spark, with [contract] terms_from = "payments"',
            rule="The periods of terms that are built from payments are those of all customers.",
            fix='Give contracts a SELECT of their own, or write [engine] name = "duckdb".',
        )
    if settings.features.treatments:
        raise BadSetting(
            where="[engine] name",
            got="spark, with [features] treatments",
            rule="A share has no treatments.",
            fix='Write [features] treatments = false, or [engine] name = "duckdb".',
        )
