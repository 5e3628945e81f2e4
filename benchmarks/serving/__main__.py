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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving import business, hosts, measures, overload
from benchmarks.serving.measures import ECHOES, MLFLOW, OURS, RAW, SCORER, Side
from features.core.progress import print_status


@dataclass(frozen=True)
class Effort:
    """How large the business is, how often and how long everything is measured, beside whom."""

    customers: int = 3000
    rounds: int = 7
    seconds: float = 2.5
    opponents: bool = True


SMALLEST = Effort(customers=300, rounds=1, seconds=0.2, opponents=False)


def measure(home: Path, effort: Effort) -> dict[str, Any]:
    """Every measurement, in one run."""
    print_status("making the business")
    shop = business.make_business(home, effort.customers)
    rounds, seconds = effort.rounds, effort.seconds
    with hosts.lifecycle(home) as ours:
        size = measures.write_echo(shop, ours.port)
        results = {
            "answer_bytes": size,
            "echo": measures.measure_echoes(shop, ours.port, rounds=rounds, seconds=seconds)
            if effort.opponents
            else {},
            "hundred": measures.measure_hundred(shop, ours.port, rounds=rounds, seconds=seconds),
            "raw": measures.measure_raw_events(shop, ours.port, rounds=min(rounds, 3)),
            "swap": overload.measure_swap(shop, ours.port),
        }
    results["mlflow"] = (
        measures.measure_mlflow(shop, rounds=rounds, seconds=seconds) if effort.opponents else {}
    )
    results["ready"] = (
        measures.measure_ready(shop, rounds=min(rounds, 3)) if effort.opponents else {}
    )
    with hosts.lifecycle(home) as ours:
        overload.warm_up(shop, ours.port)
        results["quiet"] = overload.good_calls(shop, ours.port)
        results["idle"] = overload.measure_idle(shop, ours.port)
        results["impatient"] = overload.measure_impatient(shop, ours)
        results["lost"] = overload.measure_end(shop, ours)
    return results


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """What was wanted of each figure; of several measurements the least favourable one."""
    pairs = [(sides[OURS], sides[name]) for sides in results["echo"].values() for name in ECHOES]
    ratios = [
        sides[SCORER].throughput_over(sides[MLFLOW]) for _, sides in results["mlflow"].values()
    ]
    crowd = results["impatient"]
    calls = [*results["idle"].values(), crowd["good"]]
    hundred = 100 * min(side.per_second for side in results["hundred"].values())
    over_echo = [ours.throughput_over(echo) for ours, echo in pairs]
    p99_over_echo = [ours.ms_over(echo, 99) for ours, echo in pairs]
    return {
        "echo_ratio": _at_least(min(over_echo, default=None), 0.8),
        "echo_p99_ratio": _at_most(max(p99_over_echo, default=None), 1.5),
        "mlflow_serve_ratio": _at_least(min(ratios, default=None), 1),
        "rows_per_second_100": {"value": round(hundred)},
        "raw_events_p50_ms": {"value": round(results["raw"][RAW].ms(50), 1)},
        "ready_s": _at_most(max(results["ready"].values(), default=None), 8),
        "swap_s": _at_most(results["swap"], 5),
        "good_calls_refused": _at_most(sum(c.statuses.total() - c.statuses[200] for c in calls), 0),
        "good_calls_p99_ms": {"value": round(max(c.p99 for c in calls), 1)},
        "quiet_p99_ms": {"value": round(results["quiet"].p99, 1)},
        "refusal_ms": _at_most(crowd["refusal_ms"], 50),
        "normal_again_s": _at_most(crowd["again_s"], 2),
        "memory_ratio": _at_most(crowd["memory"], 1.2),
        "lost_at_sigterm": _at_most(results["lost"], 0),
    }


def _at_most(value: float | None, wanted: float) -> dict[str, Any]:
    shown = None if value is None else round(value, 2)
    return {"value": shown, "wanted": wanted, "holds": value is not None and value <= wanted}


def _at_least(value: float | None, wanted: float) -> dict[str, Any]:
    shown = None if value is None else round(value, 2)
    return {"value": shown, "wanted": wanted, "holds": value is not None and value >= wanted}


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
    lines.append("good calls, each on a connection of its own")
    for name, calls in {"quiet": results["quiet"], **results["idle"]}.items():
        lines.append(f"  {name:44}{dict(calls.statuses)!s:>11}{calls.p99:>18.2f}")
    crowd = results["impatient"]
    lines.append(
        f"  {'400 impatient callers with raw events':44}{dict(crowd['good'].statuses)!s:>11}"
        f"{crowd['good'].p99:>18.2f}"
    )
    lines.append(f"    they got {dict(crowd['statuses'])} for {crowd['bytes']:,} bytes each")
    return "\n".join(lines)


def _line(name: str, side: Side) -> str:
    return f"  {name:44}{side.per_second:>11,.0f}{side.ms(50):>9.2f}{side.ms(99):>9.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    parser.add_argument(
        "--smallest", action="store_true", help="a tiny business, one short round: does it run?"
    )
    arguments, began = parser.parse_args(), time.monotonic()
    # A terminated benchmark must terminate its services too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="lifecycle-serving-") as home:
        results = measure(Path(home), SMALLEST if arguments.smallest else Effort())
    if not arguments.json:
        print(report_text(results))
        print(
            f"{time.monotonic() - began:.0f} seconds; load average {load:.1f} before, "
            f"{os.getloadavg()[0]:.1f} after"
        )
    print(json.dumps(figures(results)))


if __name__ == "__main__":
    main()
