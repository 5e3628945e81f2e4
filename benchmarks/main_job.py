"""How long the main job takes: `python -m benchmarks.main_job [--only PART …] [--json]`.

`demo`, and `run` on online_retail and cdnow, each with an empty LIFECYCLE_HOME: seconds, seconds by
phase (from the lines on standard error) and peak memory. `--before FOLDER` names a checkout of an
older commit with its own .venv: its demo runs in turn with ours, and the ratio is stated. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("demo", "online_retail", "cdnow")
WANTED = {"demo": 60.0, "online_retail": 25.0, "cdnow": 90.0}
CDNOW_GB, RATIO = 2.5, 0.65
# The first line of each phase begins so.
PHASES = {
    "simulating": "simulation",
    "check:": "reading and check",
    "outcomes at": "outcomes",
    "feature rows at": "feature rows",
    "churn: ridge": "search",
    "next stage: ridge": "search",
    "churn, for intervals": "fits",
    "fitting the release": "refit",
    "gate:": "records",
    "scoring": "scores",
}


def measure(part: str, root: Path) -> dict[str, Any]:
    """One run of the command in the checkout `root`: seconds, GB, seconds by phase."""
    with tempfile.TemporaryDirectory() as place:
        command = [str(root / ".venv" / "bin" / "lifecycle")]
        command += ["demo", "--into", "demo"] if part == "demo" else ["run", "-c", _example(part)]
        began = time.monotonic()
        child = subprocess.Popen(
            command,
            cwd=place,
            env=os.environ | {"LIFECYCLE_HOME": str(Path(place) / "home")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        marks = [(time.monotonic(), line) for line in child.stderr]
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"{part} ended with {status}: {marks[-1][1] if marks else ''}")
        ended = time.monotonic()
    return {
        "seconds": round(ended - began, 1),
        "gb": round(usage.ru_maxrss / 1e6, 2),
        "phases": _phases(marks, began, ended),
    }


def _example(part: str) -> str:
    return str(ROOT / "examples" / f"{part}.toml")


def _phases(marks: list[tuple[float, str]], began: float, ended: float) -> dict[str, float]:
    starts = [(began, "start")]
    for at, line in marks:
        name = next((name for head, name in PHASES.items() if line.startswith(head)), None)
        # Fits of the refit have the lines of the first fits.
        later = name == "fits" and starts[-1][1] == "refit"
        if name and name != starts[-1][1] and not later:
            starts.append((at, name))
    seconds: dict[str, float] = {}
    for (at, name), (end, _) in zip(starts, [*starts[1:], (ended, "")], strict=True):
        seconds[name] = round(seconds.get(name, 0) + end - at, 1)
    return seconds


def figures(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for part, wanted in WANTED.items():
        if part in results:
            seconds = median(one["seconds"] for one in results[part])
            out[f"{part}_seconds"] = _figure(seconds, wanted)
    if "cdnow" in results:
        out["cdnow_gb"] = _figure(max(one["gb"] for one in results["cdnow"]), CDNOW_GB)
    if "before" in results:
        before = median(one["seconds"] for one in results["before"])
        ours = median(one["seconds"] for one in results["demo"])
        out["demo_ratio"] = _figure(round(ours / before, 3), RATIO)
    return out


def _figure(value: float, wanted: float) -> dict[str, Any]:
    return {"value": value, "wanted": wanted, "holds": value <= wanted}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--before", type=Path, help="a checkout of an older commit, with its .venv")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    options = parser.parse_args()
    os.environ.setdefault("LIFECYCLE_DATA", str(ROOT.parent / "shared" / "data"))
    results: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):
        for part in options.only:
            if part == "demo" and options.before:
                results.setdefault("before", []).append(measure(part, options.before.resolve()))
            results.setdefault(part, []).append(measure(part, ROOT))
            print(part, json.dumps(results[part][-1]), file=sys.stderr, flush=True)
    if not options.json:
        print(json.dumps(results, indent=1))
    print(json.dumps(figures(results)))


if __name__ == "__main__":
    main()
