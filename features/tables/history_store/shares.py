"""Shares of a kept history: the customers of some neighbouring buckets, or a part of one bucket.

All rows of a customer are in one share, so a share is computed alone and its rows are bit for bit
those of the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.tables.history_store.manifest import Manifest
from features.tables.history_store.pieces import BUCKET, piece_files
from features.tables.parsing import literal

# Of one million rows as they are read, cut and reduced, and of one thousand customers with their
# reductions, features and scores: measured with all features, docs/scaling.md.
BYTES_A_ROW, BYTES_A_CUSTOMER = 300, 30_000
# What a run needs beside its shares: the libraries, and what is gathered of all customers.
LEAST_BYTES = 200_000_000
# Of a task of Spark's: some 5,000 customers, whose rows take longer than all that a task costs.
TASK_BYTES = 200_000_000


@dataclass(frozen=True)
class Share:
    """The buckets from `first` up to `last`; of parts > 1 those customers of one bucket whose
    further digits of the hash leave `part` (`customers_sql`).
    """

    first: int
    last: int
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class BucketSize:
    """The rows of one bucket in all tables; customers: at most so many, about."""

    number: int
    rows: int
    customers: int

    @property
    def bytes(self) -> int:
        """The memory that its features and scores take, about."""
        return self.rows * BYTES_A_ROW + self.customers * BYTES_A_CUSTOMER


def read_bucket_sizes(
    connection: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest
) -> list[BucketSize]:
    """The size of every bucket that has rows, by number."""
    rows: Counter[int] = Counter()
    customers: Counter[int] = Counter()
    for table in manifest.tables.values():
        if not table.pieces or "customer_id" not in table.columns:
            continue
        files = ", ".join(map(literal, piece_files(folder, table)))
        counted = connection.execute(
            f"SELECT {BUCKET}, count(*), approx_count_distinct(customer_id) "
            f"FROM read_parquet([{files}], hive_partitioning = false) GROUP BY 1"
        ).fetchall()
        for number, count, people in counted:
            rows[number] += count
            # Most customers are in several tables: neither the sum nor the largest is exact.
            customers[number] = max(customers[number], people)
    return [BucketSize(number, rows[number], customers[number]) for number in sorted(rows)]


def share_limit(memory: int) -> int:
    """The bytes that one share may take, where the whole command may take `memory` bytes."""
    return max(memory // 3, LEAST_BYTES)


def plan_shares(sizes: Iterable[BucketSize], *, most_bytes: int, join_bytes: int) -> list[Share]:
    """Shares of at most `most_bytes` each, which have all customers, in the order of the buckets.

    Neighbouring buckets are one share as long as they have at most `join_bytes` together: a share
    costs a second beside its rows. A bucket that is too big is split between customers, never
    within one.
    """
    shares: list[Share] = []
    group: list[BucketSize] = []
    for size in sizes:
        if size.bytes > most_bytes:
            shares += [*_as_share(group), *_split(size, most_bytes)]
            group = []
        elif sum(each.bytes for each in [*group, size]) <= join_bytes:
            group.append(size)
        else:
            shares += _as_share(group)
            group = [size]
    return [*shares, *_as_share(group)]


def _as_share(group: list[BucketSize]) -> Iterator[Share]:
    if group:
        yield Share(group[0].number, group[-1].number)


def _split(size: BucketSize, most_bytes: int) -> Iterator[Share]:
    parts = -(-size.bytes // most_bytes)
    return (Share(size.number, size.number, part, parts) for part in range(parts))
