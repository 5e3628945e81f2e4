"""No benchmark rots unseen: each can be imported, and the one of the service is run when tiny."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
# They run in environments of their own, with the opponents' libraries.
OPPONENTS = {"benchmarks.features.featuretools_side", "benchmarks.models.automl_side"}
MODULES = sorted(
    ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    for path in (PROJECT / "benchmarks").rglob("*.py")
)


@pytest.mark.parametrize("name", [name for name in MODULES if name not in OPPONENTS])
def test_it_can_be_imported(name, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT)
    importlib.import_module(name)


@pytest.mark.long
@pytest.mark.slow
def test_the_service_s_runs_to_its_end_on_a_tiny_business(tmp_path):
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", "--smallest", "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    figures = json.loads(said.stdout.splitlines()[-1])
    assert figures["good_calls_refused"] == {"value": 0, "wanted": 0, "holds": True}
    assert figures["lost_at_sigterm"] == {"value": 0, "wanted": 0, "holds": True}
