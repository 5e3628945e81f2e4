"""The tables that need scores: what customers are worth, beside what they brought, and win-back.

The scores are those of a run of the same day and configuration. Without one each table says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.instants import day_text
from features.core.settings import Settings, home
from features.indicators.business_table import TableShape
from features.indicators.indicator_data import IndicatorData, load
from serving.batch import run_manifest, shift
from serving.value.next_stages import NEXT_STAGES, next_stages_table
from serving.value.value_matrix import VALUE_MATRIX, WORTH, value_matrix_table, worth_table
from serving.value.win_back import WIN_BACK, WIN_BACK_STAGES, win_back_tables

SECTIONS: tuple[
    tuple[tuple[TableShape, ...], Callable[[IndicatorData], dict[str, pa.Table]]], ...
] = (
    ((WORTH,), worth_table),
    ((VALUE_MATRIX,), value_matrix_table),
    ((WIN_BACK, WIN_BACK_STAGES), win_back_tables),
    ((NEXT_STAGES,), next_stages_table),
)
SHAPES = {shape.name: shape for shapes, _ in SECTIONS for shape in shapes}


def scored_sections(
    settings: Settings,
) -> dict[str, Callable[[IndicatorData], dict[str, pa.Table]]]:
    """The sections of `business_tables` that need scores, by the name of their first table."""

    def make(
        shapes: tuple[TableShape, ...], section: Callable[[IndicatorData], dict[str, pa.Table]]
    ) -> Callable[[IndicatorData], dict[str, pa.Table]]:
        def tables(data: IndicatorData) -> dict[str, pa.Table]:
            missing = _load_scores(data, settings)
            if missing is not None:
                return {
                    shape.name: shape.say_missing(missing, as_of=data.as_of) for shape in shapes
                }
            return section(data)

        return tables

    return {shapes[0].name: make(shapes, section) for shapes, section in SECTIONS}


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


def _load_scores(data: IndicatorData, settings: Settings) -> str | None:
    """Create the table `scores` with `who`, if it is not there; what is missing, if anything is."""
    if data.has_table("scores"):
        return None
    day = day_text(data.as_of, zone=settings.zone)
    folder = run_of_day(settings, data.as_of)
    command = f"run `lifecycle score --as-of {day}`"
    if folder is None:
        return f"scores of {day}: {command}"
    try:
        scores = pq.read_table(folder / "scores.parquet")
    except (OSError, pa.ArrowException):
        return f"scores of {day} that can be read: {command}"
    names = [name for name in scores.column_names if pa.types.is_floating(scores[name].type)]
    scores = scores.select(["customer_id", "stage", "eligible", *names])
    load(
        data.connection,
        scores,
        "CREATE TABLE scores AS SELECT who, listed, segment, incoming.* FROM incoming "
        "JOIN people USING (customer_id)",
    )
    return None
