"""A release as a model: feature rows in, scores out, by the code of the batch job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import WrongType, suggestion
from features.recipes.stages import STAGES, STATE_COLUMNS, usual_gap
from features.recipes.state_columns import activity_span, recency_us
from lifecycle.arguments import read_path
from lifecycle.frames import Frames, from_frame, to_frame
from serving.batch.writers import with_microseconds
from serving.release.release import Release, current_release_folder, releases_folder
from serving.release.sandbox import load_in_subprocess
from serving.release.score_table import score_rows
from serving.release.seen_future import refuse_in_sample


class Model:
    """A verified release. `features`: the columns its models use; `evaluation`: aggregates only.

    `targets`: by name the status of each own target: ok, no_skill, not_enough_data or
    leak_suspected.

    `earliest_as_of`: it has learned no outcome and no statistic of that instant or later (UTC).
    """

    def __init__(self, release: Release) -> None:
        self._release = release
        self.id = release.id
        self.folder = release.folder
        self.status = release.scorer.status
        self.features = tuple(release.scorer.columns)
        self.definitions = release.scorer.definitions
        self.evaluation: dict[str, Any] = release.evaluation
        self.targets = {target.name: target.status for target in release.targets}
        self.earliest_as_of = _datetime(release.seen.earliest_as_of)

    def __repr__(self) -> str:
        return f"Model({self.id!r}, status={self.status!r}, features={len(self.features)})"

    def predict(self, frame: Any, *, in_sample: bool = False, frames: Frames = "pandas") -> Any:
        """Scores of feature rows, one row for each, in their order: the columns of a score table.

        `frame` comes from `Business.features(…, model=this)`, or from features.parquet of a run
        folder of this release (more columns are ignored). The same numbers as `Business.score` and
        the service, bit for bit. Errors: WrongType for a column that is missing, infinite or of
        another type, and for stages that the model's definitions do not give; AsOfInSample for an
        as_of before `earliest_as_of`. With `in_sample` such rows are scored, and their `warnings`
        say in_sample.
        """
        rows = _checked(with_microseconds(from_frame(frame)), self.features)
        self._refuse_other_definitions(rows)
        instants = rows["as_of"].unique().to_pylist()
        refuse_in_sample(self._release.seen, instants, zone=self._release.zone, allow=in_sample)
        return to_frame(score_rows(rows, self._release), frames)

    def _refuse_other_definitions(self, rows: pa.Table) -> None:
        """WrongType where the rows' overdue time is not what the model's definitions give.

        Rows that were built without `model=` rest on another usual gap, and their scores would be
        wrong without a word.
        """
        first, last = activity_span(rows)
        gap = usual_gap(
            first=first.astype(np.float64),
            last=last.astype(np.float64),
            # Without activity there is no own gap either.
            count=np.maximum(rows["n"].to_numpy(), 1),
            population_mean_gap_us=self.definitions.population_mean_gap_us,
        )
        wait = recency_us(rows).astype(np.float64)
        overdue = rows["overdue_state"].to_numpy()
        differs = int((np.abs(wait / gap - overdue) > 1e-9 * np.maximum(1, overdue)).sum())
        if differs:
            raise WrongType(
                where="the frame",
                got=f"{differs:,} rows with other definitions than the model's",
                rule="Feature rows and model share usual gap, stage limits and windows.",
                fix="Build the rows for this model: shop.features(as_of=…, model=model)",
            )


def load_release(release: str | Path | None = None) -> Model:
    """A release by its id or folder; the one that is served where none is named.

    It is verified and loaded in a child process first. Errors: ReleaseRefused.
    """
    if release is None:
        return Model(load_in_subprocess(current_release_folder()))
    path = read_path(release, where="release")
    return Model(load_in_subprocess(path if path.is_dir() else releases_folder() / str(release)))


def _datetime(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def _checked(rows: pa.Table, features: tuple[str, ...]) -> pa.Table:
    """The state columns and the features as a feature table has them; WrongType otherwise."""
    for name in (*STATE_COLUMNS, *features):
        if name not in rows.column_names:
            raise _refused(name, "no such column", suggestion(name, rows.column_names))
    for name in ("stage", "stage_if_inactive"):
        unknown = set(rows[name].unique().to_pylist()) - set(STAGES)
        if unknown:
            raise _refused(name, f"{len(unknown)} values that are no stage", "")
    for name in ("as_of", "first_at", "last_at", "recency_from"):
        if not pa.types.is_integer(rows[name].type):
            got = f"type {rows[name].type}, which is no instant"
            raise _refused(name, got, "Pass it as `features` gave it.")
    for name in features:
        try:
            values = rows[name].cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            got = f"type {rows[name].type}, which is no number"
            raise _refused(name, got, "Pass it as `features` gave it.") from error
        infinite = int(pc.sum(pc.is_inf(values)).as_py() or 0)
        if infinite:
            raise _refused(name, f"{infinite} infinite numbers", "Replace them by null.")
        # pandas says NaN where a table says null.
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
        rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows.select([*STATE_COLUMNS, *features])


def _refused(name: str, got: str, fix: str) -> WrongType:
    return WrongType(
        where=f"column {name}",
        got=got,
        rule="Rows are feature rows as Business.features gives them.",
        fix=f"{fix} Build the rows for this model: shop.features(as_of=…, model=model)".strip(),
    )
