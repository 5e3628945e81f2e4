"""featuretools in its own environment: it needs pandas 2 and numpy 2.2, which we do not support.

The environment and the synthesised columns lie under `.benchmarks` in the checkout, which git
ignores; deleting it costs a minute. Request and answer are parquet and JSON files in a folder; the
last line of the child's output is one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import children

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".benchmarks"
SIDE = Path(__file__).with_name("featuretools_side.py")
VERSION = "1.31.0"
PACKAGES = (f"featuretools=={VERSION}", "setuptools<81", "pandas<3", "numpy<2.3", "pyarrow")


def make_environment(home: Path = HOME) -> Path:
    """The Python of the environment under `home`, which is made if it is not complete."""
    return children.make_environment(home / "featuretools", PACKAGES)


def start(
    folder: Path, request: dict[str, Any], tables: dict[str, pa.Table], home: Path = HOME
) -> subprocess.Popen:
    """Start a child that works on `request` and `tables`, which are written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    (folder / "request.json").write_text(json.dumps(request))
    quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [str(make_environment(home)), str(SIDE), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **quiet},
    )


def answer(child: subprocess.Popen) -> dict[str, Any]:
    """Wait for the child; returns its JSON object. SystemExit where it failed."""
    output, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"featuretools ended with exit code {child.returncode}")
    return json.loads(output.splitlines()[-1])
