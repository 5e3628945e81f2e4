"""Spark runs the tasks: it plans, distributes, and repeats what was lost with a machine.

One task of Spark is one share. It reads its own rows of the kept history with the same engine as
everywhere, so Spark never sees a row of a customer: what goes through it are Arrow tables as bytes.
They wait on the disks of the executors and come to this process one share after another.

PySpark is imported here alone, and only when it is needed (docs/decisions/044-spark.md).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.core.errors import BadSetting, LifecycleError, StoreFailed
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import spark_master
from features.core.staged_files import PRIVATE
from features.tables.history_store.shares import Share

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUMBER, NAME, BYTES = "share", "name", "bytes"
ROWS = pa.schema({NUMBER: pa.int64(), NAME: pa.string(), BYTES: pa.binary()})
SPARK_ROWS = f"{NUMBER} long, {NAME} string, {BYTES} binary"
# A cell of Spark's holds less than 2 GB.
ROWS_A_CELL = 50_000
LOG = Path(tempfile.gettempdir()) / f"lifecycle-spark-{os.getpid()}.log"
LOCAL = {"spark.driver.host": "localhost", "spark.driver.bindAddress": "127.0.0.1"}
QUIET = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "true",
}


def run_on_spark(
    task: Callable[[Share], Mapping[str, pa.Table]],
    shares: Sequence[Share],
    *,
    threads: int,
    label: str,
) -> Iterator[Mapping[str, pa.Table]]:
    """The tables of each share, in the order of `shares`.

    threads: of Spark on this machine, where no master is named. ImportError without PySpark,
    BadSetting without Java; StoreFailed where a task failed again and again.
    """
    from pyspark import StorageLevel

    session = _session(threads)
    with _spark_errors():
        numbers = session.range(0, len(shares), 1, numPartitions=len(shares))
        rows = numbers.mapInArrow(_rows_of(task, list(shares)), SPARK_ROWS)
        rows.persist(StorageLevel.DISK_ONLY)
        print_status(say("{label}: {shares:,} tasks on Spark", label=label, shares=len(shares)))
        rows.count()
        yield from _by_share(rows.toLocalIterator(prefetchPartitions=True))
        rows.unpersist()


def _rows_of(
    task: Callable[[Share], Mapping[str, pa.Table]], shares: list[Share]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function of a task of Spark: numbers of shares come in, tables as bytes go out."""

    def compute(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for name, table in task(shares[number]).items():
                    for content in _cells(table):
                        yield pa.RecordBatch.from_pydict(
                            {NUMBER: [number], NAME: [name], BYTES: [content]}, schema=ROWS
                        )

    return compute


def _cells(table: pa.Table) -> Iterator[bytes]:
    for start in range(0, max(table.num_rows, 1), ROWS_A_CELL):
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table.slice(start, ROWS_A_CELL))
        yield sink.getvalue().to_pybytes()


def _by_share(rows: Iterable[Any]) -> Iterator[dict[str, pa.Table]]:
    """The tables of one share after another; its rows stand together."""
    number, tables = None, dict[str, list[pa.Table]]()
    for row in rows:
        if number is not None and row[NUMBER] != number:
            yield {name: pa.concat_tables(parts) for name, parts in tables.items()}
            tables = {}
        number = row[NUMBER]
        table = pa.ipc.open_stream(bytes(row[BYTES])).read_all()
        tables.setdefault(row[NAME], []).append(table)
    if tables:
        yield {name: pa.concat_tables(parts) for name, parts in tables.items()}


def _session(threads: int) -> SparkSession:
    """The session that is there, as in a notebook of a cluster; else one until this process ends.

    BadSetting where none can be started.
    """
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    # The tasks run under the Python that has this package.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    master = spark_master() or f"local[{threads}]"
    builder = SparkSession.builder.appName("lifecycle").master(master)
    for key, value in (QUIET | (LOCAL if master.startswith("local") else {})).items():
        builder = builder.config(key, value)
    print_status(say("starting Spark on {master}", master=master))
    session = _start(builder)
    session.sparkContext.setLogLevel("ERROR")
    atexit.register(session.stop)
    return session


def _start(builder: SparkSession.Builder) -> SparkSession:
    """Start Spark, whose log goes to LOG; BadSetting where it does not start."""
    from pyspark.errors import PySparkException

    # Java writes its log to the error stream with which it is started, between our lines.
    stream = os.dup(2)
    try:
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
        os.dup2(log, 2)
        os.close(log)
        session = builder.getOrCreate()
        atexit.register(_remove_log)
        return session
    except (PySparkException, OSError) as error:
        raise BadSetting(
            where="[engine] name",
            got="spark, which does not start here",
            rule="Spark 4 needs Java 17 or 21, and a master that can be reached.",
            fix="Install Java 17, or set JAVA_HOME; or correct LIFECYCLE_SPARK_MASTER. Spark's log "
            f"is {LOG}.",
        ) from error
    finally:
        os.dup2(stream, 2)
        os.close(stream)


def _remove_log() -> None:
    LOG.unlink(missing_ok=True)


@contextlib.contextmanager
def _spark_errors() -> Iterator[None]:
    """StoreFailed for an error of Spark's in the block."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except LifecycleError:
        raise
    except (PySparkException, Py4JError) as error:
        atexit.unregister(_remove_log)
        raise StoreFailed(
            where="Spark",
            got=_cause(str(error)),
            rule="Every task of Spark ends, after at most the repeats that its settings allow.",
            fix=f"Look at Spark's log ({LOG}). Each machine needs this package, and the kept "
            "history and LIFECYCLE_HOME under the same paths.",
        ) from error


def _cause(text: str) -> str:
    """What a task failed of: an error of ours with its words, of any other the type alone.

    The words of an unknown error may quote customer data.
    """
    named = re.findall(r"^([A-Za-z_][\w.]*(?:\.[A-Z]\w+|Error|Exception))(?:: (.*))?$", text, re.M)
    for name, words in reversed(named):
        if name.startswith("features.core.errors."):
            return f"a task that ended with: {words}"
    return f"a task that failed ({named[-1][0].split('.')[-1]})" if named else "a task that failed"
