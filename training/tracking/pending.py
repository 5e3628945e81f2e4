"""Records on disk until the tracking store has them: `<home>/mlruns/pending/<began>-<key>/`, whole or not there.

Every record is kept here before it is written to the store, so a store that is away, or a job that is killed while it
writes, loses none. A record's key is a tag of its run, so none is written twice.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from features.core.settings import home


@dataclass(frozen=True)
class Record:
    """One finished job for the tracking store: plain data, and nothing of a customer.

    `by_date`: (metric, value, as_of in µs). `datasets`: name, context, digest, rows, columns as (name, type).
    `models`: registered names to make a version of, over `release`. `began`, `ended`: seconds since 1970.
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
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


def folder() -> Path:
    return home() / "mlruns" / "pending"


def keep(record: Record) -> Path:
    """Write the record with its pictures, staged and renamed once. OSError when there is no room or right."""
    root = folder()
    root.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=root))
    try:
        (staged / "pictures").mkdir()
        for picture in record.pictures:
            shutil.copyfile(picture, staged / "pictures" / picture.name)
        stated = {**_mapping(record), "pictures": [picture.name for picture in record.pictures]}
        (staged / "record.json").write_text(json.dumps(stated, sort_keys=True, default=str) + "\n")
        kept = root / f"{round(record.began * 1000):013d}-{record.key}"
        os.replace(staged, kept)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return kept


def _mapping(record: Record) -> dict[str, Any]:
    return {each.name: getattr(record, each.name) for each in fields(record)}


def waiting() -> list[Path]:
    """The kept records, oldest first."""
    root = folder()
    return sorted(path.parent for path in root.glob("[0-9]*/record.json")) if root.is_dir() else []


def read(kept: Path) -> Record:
    stated = json.loads((kept / "record.json").read_text())
    found = Record(
        **{each.name: stated[each.name] for each in fields(Record) if each.name in stated}
    )
    lists = {name: tuple(getattr(found, name)) for name in ("datasets", "trials", "models")}
    pictures = tuple(kept / "pictures" / name for name in found.pictures)
    return replace(
        found, **lists, pictures=pictures, by_date=tuple(tuple(point) for point in found.by_date)
    )


def remove(kept: Path) -> None:
    """The record first: what is left of a removal that was cut short is no record any more."""
    (kept / "record.json").unlink(missing_ok=True)
    shutil.rmtree(kept, ignore_errors=True)
