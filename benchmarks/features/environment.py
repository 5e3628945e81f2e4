"""featuretools in an environment of its own: its pins (pandas 2, numpy 2.2) and ours do not go together.

It lies under `.benchmarks` in the checkout, which git ignores, with what was synthesised; deleting it costs a minute.

What is asked and answered lies as parquet and JSON files in a folder; the child's last line is one JSON object.
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


def interpreter(home: Path = HOME) -> Path:
    """The Python of the environment under `home`; made with venv and pip where it is not there whole."""
    return children.interpreter(home / "featuretools", PACKAGES)


def start(
    folder: Path, request: dict[str, Any], tables: dict[str, pa.Table], home: Path = HOME
) -> subprocess.Popen:
    """A child that works on `request` and `tables`, all of them files in `folder`; `answer` waits for it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    (folder / "request.json").write_text(json.dumps(request))
    quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [str(interpreter(home)), str(SIDE), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **quiet},
    )


def answer(child: subprocess.Popen) -> dict[str, Any]:
    """The child's JSON object. SystemExit where it ended otherwise; its own words are on standard error."""
    said, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"featuretools ended with exit code {child.returncode}")
    return json.loads(said.splitlines()[-1])
