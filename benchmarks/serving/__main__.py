"""Speed of the service: `python -m benchmarks.serving [--json]`, some six minutes on two cores.

One simulated shop, one worker for each service, one client that waits for each answer. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.serving import business, hosts, measures
from benchmarks.serving.measures import ECHOES, MLFLOW, OURS, RAW, SCORER, Side
from features.core.progress import print_status


def measure(home: Path) -> dict[str, Any]:
    """Every measurement, in one run."""
    print_status("making the business")
    shop = business.make_business(home)
    with hosts.lifecycle(home) as ours:
        size = measures.write_echo(shop, ours.port)
        results = {
            "answer_bytes": size,
            "echo": measures.measure_echoes(shop, ours.port, rounds=7, seconds=2.5),
            "hundred": measures.measure_hundred(shop, ours.port, rounds=5, seconds=2),
            "raw": measures.measure_raw_events(shop, ours.port, rounds=3),
        }
    results["mlflow"] = measures.measure_mlflow(shop, rounds=7, seconds=2)
    results["ready"] = measures.measure_ready(shop, rounds=3)
    return results


def figures(results: dict[str, Any]) -> dict[str, float]:
    """The six figures; of several measurements the least favourable one."""
    pairs = [(sides[OURS], sides[name]) for sides in results["echo"].values() for name in ECHOES]
    ratios = [
        sides[SCORER].throughput_over(sides[MLFLOW]) for _, sides in results["mlflow"].values()
    ]
    return {
        "echo_ratio": round(min(ours.throughput_over(echo) for ours, echo in pairs), 2),
        "echo_p99_ratio": round(max(ours.ms_over(echo, 99) for ours, echo in pairs), 2),
        "mlflow_serve_ratio": round(min(ratios), 2),
        "rows_per_second_100": round(
            100 * min(side.per_second for side in results["hundred"].values())
        ),
        "raw_events_p50_ms": round(results["raw"][RAW].ms(50), 1),
        "ready_s": round(max(results["ready"].values()), 1),
    }


def report_text(results: dict[str, Any]) -> str:
    """Medians, one line each."""
    lines = [f"{'':46}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}"]
    for connections, sides in results["echo"].items():
        lines.append(
            f"by id, {connections} connection(s), {results['answer_bytes']} bytes an answer"
        )
        lines += [_line(name, side) for name, side in sides.items()]
        for name in ECHOES:
            ours, echo = sides[OURS], sides[name]
            lines.append(
                f"    over {name}: throughput × {ours.throughput_over(echo):.2f}, "
                f"p99 × {ours.ms_over(echo, 99):.2f}"
            )
    lines += [
        "by id, 100 customers a request",
        *(_line(f"{k} connection(s)", side) for k, side in results["hundred"].items()),
    ]
    lines += [
        "raw events, 1 connection",
        *(_line(name, side) for name, side in results["raw"].items()),
    ]
    for size, (form, sides) in results["mlflow"].items():
        ratio = sides[SCORER].throughput_over(sides[MLFLOW])
        lines.append(f"ready rows, {size} a request (MLflow fastest with {form}): × {ratio:.2f}")
        lines += [_line(name, side) for name, side in sides.items()]
    lines += [
        "seconds until ready",
        *(f"  {name:44}{seconds:>11.1f}" for name, seconds in results["ready"].items()),
    ]
    return "\n".join(lines)


def _line(name: str, side: Side) -> str:
    return f"  {name:44}{side.per_second:>11,.0f}{side.ms(50):>9.2f}{side.ms(99):>9.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    arguments, began = parser.parse_args(), time.monotonic()
    # A terminated benchmark must terminate its services too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="lifecycle-serving-") as home:
        results = measure(Path(home))
    if not arguments.json:
        print(report_text(results))
        print(
            f"{time.monotonic() - began:.0f} seconds; load average {load:.1f} before, "
            f"{os.getloadavg()[0]:.1f} after"
        )
    print(json.dumps(figures(results)))


if __name__ == "__main__":
    main()
