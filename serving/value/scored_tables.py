"""The tables that need scores: what customers are worth, beside what they brought, and win-back.

The scores are those of a run of the same day and configuration. Without one each table says so.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.file_hashes import hash_file
from features.core.instants import day_text
from features.core.settings import Settings, home
from features.indicators.indicator_data import IndicatorData, load
from serving.batch import run_manifest, shift
from serving.release.score_table import REASON_COLUMNS
from serving.scoring.value_columns import VALUE_COLUMNS
from serving.value.channel_worth import CHANNEL_WORTH, channel_worth_table
from serving.value.curves import CURVES, curve_table
from serving.value.customer_list import CUSTOMERS, customer_list_table
from serving.value.next_stages import NEXT_STAGES, next_stages_table
from serving.value.reason_shares import REASON_SHARES, reason_share_table
from serving.value.risk_value import RISK_VALUE, risk_value_table
from serving.value.value_matrix import (
    VALUE_MATRIX,
    WORTH,
    clv_indicator,
    value_matrix_table,
    worth_table,
)
from serving.value.win_back import WIN_BACK, WIN_BACK_STAGES, win_back_tables

SECTIONS = (
    worth_table,
    value_matrix_table,
    channel_worth_table,
    win_back_tables,
    next_stages_table,
    risk_value_table,
    reason_share_table,
    curve_table,
    customer_list_table,
)
OF_SCORES_ALONE = (
    *(WORTH, VALUE_MATRIX, CHANNEL_WORTH, WIN_BACK, WIN_BACK_STAGES, NEXT_STAGES),
    *(RISK_VALUE, REASON_SHARES, CURVES),
)
SHAPES = {shape.name: shape for shape in (*OF_SCORES_ALONE, CUSTOMERS)}
_OF_ACTIVITY = ("customer_id", "occurred_at")
_DIGEST = """
CREATE OR REPLACE TABLE digest AS SELECT count(*) AS rows,
    coalesce(CAST(sum(CAST(hash(customer_id, occurred_at) AS HUGEINT)) % 9223372036854775807
             AS BIGINT), 0) AS digest
FROM incoming
"""


def scored_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """Each of SHAPES from the scores of the day, and the indicator of value.

    Without scores each says what to type; `customers` has all that is known without them.
    """
    missing = load_scores(data)
    if missing is not None:
        tables = {
            shape.name: shape.say_missing(missing, as_of=data.as_of) for shape in OF_SCORES_ALONE
        }
        tables |= customer_list_table(data, missing)
        return tables | {"indicators": clv_indicator(data, missing)}
    tables = {name: table for section in SECTIONS for name, table in section(data).items()}
    return tables | {"indicators": clv_indicator(data)}


def run_of_day(settings: Settings, as_of: int) -> Path | None:
    """The folder of the newest run of this instant (µs UTC) and configuration; None without one."""
    digest = shift.configuration_digest(settings)
    day = day_text(as_of, zone=settings.zone)
    runs = []
    for path in sorted((home() / "scores" / f"as_of={day}").glob(f"run=*/{run_manifest.FILE}")):
        about = run_manifest.read_about(path.parent) or {}
        if about.get("as_of") == as_of and about.get("configuration") == digest:
            runs.append((path.stat().st_mtime_ns, path.parent))
    return max(runs)[1] if runs else None


def _read_scores(folder: Path) -> pa.Table | None:
    """The scores of a run; None where they are not as its manifest says, or cannot be read."""
    path, about = folder / "scores.parquet", run_manifest.read_about(folder) or {}
    try:
        if hash_file(path) != about["files"]["scores.parquet"]:
            return None
        return pq.read_table(path)
    except (OSError, KeyError, TypeError, pa.ArrowException):
        return None


def _same_activity(data: IndicatorData, folder: Path) -> bool:
    """Whether the run was scored from this activity: another business may share the home."""
    name = data.settings.activity.table
    known = data.known.tables[name].select("customer_id", "occurred_at")
    try:
        then = pq.read_table(folder / "history" / f"{name}.parquet", columns=list(_OF_ACTIVITY))
    except (OSError, pa.ArrowException):
        return False
    return _digest(data, known.collect(backend="pyarrow").to_native()) == _digest(data, then)


def _digest(data: IndicatorData, rows: pa.Table) -> tuple[int, int]:
    """The number of rows and a digest of them in any order."""
    place = rows.column_names.index("occurred_at")
    at = rows["occurred_at"]
    if pa.types.is_timestamp(at.type):
        rows = rows.set_column(place, "occurred_at", at.cast(pa.timestamp("us", at.type.tz)))
    rows = rows.set_column(place, "occurred_at", rows["occurred_at"].cast(pa.int64()))
    load(data.connection, rows, _DIGEST)
    [row] = data.rows("SELECT * FROM digest").to_pylist()
    return row["rows"], row["digest"]


def load_scores(data: IndicatorData) -> str | None:
    """Create the table `scores` with `who`; what is missing, if anything is."""
    day = day_text(data.as_of, zone=data.settings.zone)
    folder = run_of_day(data.settings, data.as_of)
    command = f"run `lifecycle score --as-of {day}`"
    if folder is None:
        return f"scores of {day}: {command}"
    scores = _read_scores(folder)
    if scores is None:
        return f"scores of {day} as they were written: {command}"
    if not _same_activity(data, folder):
        return f"scores of {day} of these data: {command}"
    names = [name for name in scores.column_names if pa.types.is_floating(scores[name].type)]
    if not set(VALUE_COLUMNS) <= set(names):
        return f"scores of {day} with a clv: train again, then {command}"
    scores = scores.select(["customer_id", "stage", "eligible", *names, *REASON_COLUMNS])
    load(
        data.connection,
        scores,
        "CREATE TABLE scores AS SELECT who, listed, segment, incoming.* FROM incoming "
        "JOIN people USING (customer_id)",
    )
    return None
