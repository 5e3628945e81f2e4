"""A monitor's figures for MLflow and as a picture: counts and aggregates, no name of anything."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from features.core.settings import Settings
from features.core.staged_files import staged_file
from training.monitor.kinds import KindResult
from training.monitor.picture import draw_realised
from training.tracking import tracking
from training.tracking.pending import RunRecord

PICTURE = "realised.png"
BY_DATE = ("auroc", "log_loss", "lift", "expected_rate", "observed_rate")
Line = Mapping[str, Any]


def record_monitor(
    value: Mapping[str, Any],
    kinds: Mapping[str, KindResult],
    lines: Sequence[Line],
    settings: Settings,
    *,
    folder: Path,
) -> Path | None:
    """Draw the history and record the monitor once; the picture, None without a judged run.

    A store that is away gets the record later.
    """
    picture = None
    if lines:
        picture = folder / PICTURE
        with staged_file(picture) as staged:
            draw_realised(lines, staged)
    began = time.time()
    tracking.record_run(
        RunRecord(
            "monitor",
            params={"run": value["run"], "as_of": value["as_of"], "release": value["release"]},
            metrics=_metrics(value, kinds),
            by_date=tuple(_by_date(lines)),
            tags={"verdict": value["verdict"], "mlflow.source.name": "lifecycle monitor"},
            files={"monitor.json": {name: each.counts() for name, each in kinds.items()}},
            pictures=() if picture is None else (picture,),
            began=began,
            ended=time.time(),
            key=_key(value, lines),
            business=settings.business.name,
        )
    )
    return picture


def _metrics(value: Mapping[str, Any], kinds: Mapping[str, KindResult]) -> dict[str, float]:
    metrics = {"moved": float(len(value["moved"]))}
    for name, each in kinds.items():
        metrics[f"{name}_moved"] = float(len(each.changes))
        metrics[f"{name}_largest"] = max((one.effect for one in each.changes), default=0.0)
    for name in ("data_days", "run_days", "trained_days", "learned_days"):
        if value["ages"][name] is not None:
            metrics[name] = float(value["ages"][name])
    return metrics


def _by_date(lines: Sequence[Line]) -> list[tuple[str, float, int]]:
    dated = []
    for line in lines:
        if not line["customers"]:
            continue
        rates = {f"{name}_rate": line[key] / line["customers"] for name, key in _RATES.items()}
        figures = {**line, **rates}
        dated += [
            (f"realised_{name}", float(figures[name]), int(line["as_of"]))
            for name in BY_DATE
            if figures.get(name) is not None
        ]
    return dated


_RATES = {"expected": "expected", "observed": "left"}


def _key(value: Mapping[str, Any], lines: Sequence[Line]) -> str:
    """The same for the same run and history, so that a second monitor records nothing."""
    state = [value["run"], value["verdict"], [line["run"] for line in lines]]
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    return f"monitor-{digest[:24]}"
