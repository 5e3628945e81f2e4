"""Records of finished jobs on disk until the tracking store has them.

A record is `<home>/mlruns/pending/<began>-<key>/`, complete or absent. It is saved before it is
written to the store, so none is lost when the store does not answer or the job is killed. Its key
is a tag of its run, so none is written twice.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from features.core.settings import home
from features.core.staged_files import staged_folder


@dataclass(frozen=True)
class RunRecord:
    """One finished job for the tracking store: plain data, and nothing about a customer.

    `by_date`: (metric, value, as_of in µs). `files`: content by file name. `datasets`: name,
    context, digest, rows, columns as (name, type). `pictures`: PNG files. `models`: registered
    models that get a version of `release`. `began`, `ended`: seconds since 1970. `name`: what the
    run is called, if not by its job. `business`: whose run it is; each has an experiment. A record
    of an older version has none.
    """

    job: str
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    by_date: tuple[tuple[str, float, int], ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    datasets: tuple[dict[str, Any], ...] = ()
    trials: tuple[dict[str, Any], ...] = ()
    pictures: tuple[Path, ...] = ()
    release: str | None = None
    models: tuple[str, ...] = ()
    began: float = 0.0
    ended: float = 0.0
    name: str | None = None
    business: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


def pending_folder() -> Path:
    return home() / "mlruns" / "pending"


def save(record: RunRecord) -> Path:
    """Write the record with its pictures, complete or not at all; its folder.

    OSError where there is no space or no permission.
    """
    root = pending_folder()
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"{round(record.began * 1000):013d}-{record.key}"
    with staged_folder(folder) as staged:
        (staged / "pictures").mkdir()
        for picture in record.pictures:
            shutil.copyfile(picture, staged / "pictures" / picture.name)
        content = {each.name: getattr(record, each.name) for each in fields(record)}
        content["pictures"] = [picture.name for picture in record.pictures]
        (staged / "record.json").write_text(json.dumps(content, sort_keys=True, default=str) + "\n")
    return folder


def list_pending() -> list[Path]:
    """The folders of the pending records, oldest first."""
    root = pending_folder()
    return sorted(path.parent for path in root.glob("[0-9]*/record.json")) if root.is_dir() else []


def load(folder: Path) -> RunRecord:
    """The record in a folder; OSError or ValueError where it cannot be read."""
    content = json.loads((folder / "record.json").read_text())
    names = [each.name for each in fields(RunRecord)]
    record = RunRecord(**{name: content[name] for name in names if name in content})
    # JSON has lists only; the record has tuples.
    return replace(
        record,
        datasets=tuple(record.datasets),
        trials=tuple(record.trials),
        models=tuple(record.models),
        pictures=tuple(folder / "pictures" / name for name in record.pictures),
        by_date=tuple((name, value, at) for name, value, at in record.by_date),
    )


def delete(folder: Path) -> None:
    """Delete record.json first: a deletion that is cut short leaves no record."""
    (folder / "record.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
