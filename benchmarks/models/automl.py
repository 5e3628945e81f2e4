"""AutoGluon in its own environment: its pinned packages and ours conflict.

The environment lies under `.benchmarks` in the checkout; it is made with venv and pip when it is
needed (some 3 GB, a few minutes). Request and answer are parquet and JSON files in a folder.
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
from benchmarks.models import cache
from benchmarks.models.sets import Case
from features.core.progress import print_status
from training.splits import customer_groups

SIDE = Path(__file__).with_name("automl_side.py")
VERSION = "1.6.3"
PACKAGES = (f"autogluon.tabular[lightgbm,catboost,xgboost,fastai]=={VERSION}", "pyarrow")
SECONDS, LONG_SECONDS = 300.0, 1800.0
BAGS = 8
PRESET = "best_quality"


def answer(case: Case, *, seconds: float = SECONDS) -> cache.Answer:
    """`p` of the evaluated rows, and `left_out` of the unseen training rows (newest date)."""
    of = [
        case.digest,
        PACKAGES,
        cache.digest_of_files("benchmarks/models/automl_side.py"),
        BAGS,
        PRESET,
        seconds,
    ]
    return cache.cached_answer("autogluon", of, lambda: _fitted(case, seconds))


def _fitted(case: Case, seconds: float) -> cache.Answer:
    python = children.make_environment(HOME / "autogluon", PACKAGES)
    print_status(f"AutoGluon, {seconds:.0f} s: {case.name}")
    with tempfile.TemporaryDirectory(prefix="autogluon-") as path:
        folder = Path(path)
        _write_request(folder, case, seconds)
        # Its models are written into the folder of the request and are deleted with it.
        done = subprocess.run(
            [str(python), str(SIDE), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**_plain_environment(), "PYTHONWARNINGS": "ignore"},
        )
        if done.returncode:
            raise SystemExit(f"AutoGluon ended with exit code {done.returncode}")
        details = json.loads(done.stdout.splitlines()[-1])
        archive = np.load(folder / "answer.npz", allow_pickle=False)
        return {name: archive[name] for name in archive.files}, details


def _write_request(folder: Path, case: Case, seconds: float) -> None:
    """Plain float64 columns, NaN where null, and the bag of each row.

    Bags are groups of customers, so that no customer is in two.
    """
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
    """Our environment without our thread limits, and without telemetry."""
    ours = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {
        "AUTOGLUON_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_WAIT_POLICY": "passive",
    }
