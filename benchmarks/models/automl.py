"""AutoGluon in an environment of its own: its pins and ours do not go together.

It lies under `.benchmarks` in the checkout; made at need with venv and pip (some 3 GB, a few minutes). What is
asked and answered lies as parquet and JSON in a folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import children
from benchmarks.features.environment import HOME
from benchmarks.models import kept
from benchmarks.models.sets import Case
from features.core.progress import say
from training.splits import customer_groups

SIDE = Path(__file__).with_name("automl_side.py")
VERSION = "1.6.3"
PACKAGES = (f"autogluon.tabular[lightgbm,catboost,xgboost,fastai]=={VERSION}", "pyarrow")
SECONDS, LONG_SECONDS = 300.0, 1800.0
BAGS = 8
PRESET = "best_quality"


def answer(case: Case, *, seconds: float = SECONDS) -> kept.Answer:
    """`p` of the evaluated rows, `left_out` of the training rows it can answer for unseen: the newest date's."""
    of = [
        case.digest,
        PACKAGES,
        kept.digest_of_files("benchmarks/models/automl_side.py"),
        BAGS,
        PRESET,
        seconds,
    ]
    return kept.answered("autogluon", of, lambda: _fitted(case, seconds))


def _fitted(case: Case, seconds: float) -> kept.Answer:
    python = children.interpreter(HOME / "autogluon", PACKAGES)
    say(f"AutoGluon, {seconds:.0f} s: {case.name}")
    with tempfile.TemporaryDirectory(prefix="autogluon-") as place:
        folder = Path(place)
        _ask(folder, case, seconds)
        # Its models are written beside what it was asked, and go with it.
        done = subprocess.run(
            [str(python), str(SIDE), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**_plain_environment(), "PYTHONWARNINGS": "ignore"},
        )
        if done.returncode:
            raise SystemExit(f"AutoGluon ended with exit code {done.returncode}")
        said = json.loads(done.stdout.splitlines()[-1])
        found = np.load(folder / "found.npz", allow_pickle=False)
        return {name: found[name] for name in found.files}, said


def _ask(folder: Path, case: Case, seconds: float) -> None:
    """Plain float64 columns, NaN where null; the bag of each row by its customer, so that no customer is in two."""
    early, late = case.matrices
    rows = case.early
    columns = {f"x{number}": early[:, number] for number in range(early.shape[1])}
    columns |= {
        "churned": rows["churned"].to_numpy().astype(int),
        "as_of": rows["as_of"].to_numpy(),
        "bag": customer_groups(rows, groups=BAGS),
    }
    pq.write_table(pa.table(columns), folder / "early.parquet")
    pq.write_table(
        pa.table({f"x{number}": late[:, number] for number in range(late.shape[1])}),
        folder / "late.parquet",
    )
    request: dict[str, Any] = {"seconds": seconds, "preset": PRESET, "columns": early.shape[1]}
    (folder / "request.json").write_text(json.dumps(request))


def _plain_environment() -> dict[str, str]:
    """Without the limits we set ourselves, and reporting to nobody."""
    ours = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "PYTHONPATH")
    kept_ones = {name: value for name, value in os.environ.items() if name not in ours}
    return kept_ones | {
        "AUTOGLUON_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_WAIT_POLICY": "passive",
    }
