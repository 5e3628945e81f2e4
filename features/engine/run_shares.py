"""Runs one task for each share of the customers: one after another here, or on Spark.

A task is a function of a share that can be pickled; it answers with Arrow tables by name. Where it
runs changes no bit of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from features.core.progress import track_steps
from features.core.settings import Settings
from features.engine.spark import run_on_spark
from features.tables.history_store.shares import Share

Task = Callable[[Share], Mapping[str, pa.Table]]


def run_shares(
    task: Task, shares: Sequence[Share], settings: Settings, *, label: str
) -> Iterator[Mapping[str, pa.Table]]:
    """The tables of each share, in the order of the shares; `label` names the work in progress.

    As [engine] name says; the tables of one share at a time are in memory here.
    """
    if settings.engine.name == "spark":
        yield from run_on_spark(task, shares, threads=settings.engine.threads, label=label)
    else:
        for share in track_steps(shares, label=label):
            yield task(share)
