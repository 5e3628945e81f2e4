"""What the models are worth: `python -m benchmarks.models [--only PART …] [--sets SET …] [--json]`.

Each part runs in a process of its own, one after the other; fits are kept under `.benchmarks/models`, so that a second
run takes up where the first ended. The last line is one JSON object: each figure's value, and whether it holds.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from benchmarks import children
from benchmarks.models import automl, opponents, ours, part, sets
from features.core.settings import data_folder

PARTS = ("churn", "stages", "calibrated", "conformal", "later", "threads", "latent", "past")


def main() -> None:
    stated = _parser().parse_args()
    absent = [
        data
        for data, _ in (sets.SETS[name] for name in stated.sets)
        if data != "simulation" and not (data_folder() / data).is_dir()
    ]
    if absent:
        raise SystemExit(
            f"{', '.join(absent)} wanted under LIFECYCLE_DATA; docs/data.md lists their origin"
        )
    asked = part.Asked(
        stated.sets,
        stated.opponents,
        stated.seconds,
        stated.autogluon_seconds,
        stated.long,
        stated.customers,
        stated.latent_customers,
    )
    told: dict[str, Any] = {}
    for name in stated.only:
        figures, words, seconds = children.run("benchmarks.models", name, asked)
        told |= figures
        if not stated.json:
            print(f"{name} ({seconds:.0f} s)\n{words}\n{_verdicts(figures)}\n", flush=True)
    print(json.dumps(told))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sets", nargs="+", choices=list(sets.SETS), default=list(sets.SETS))
    parser.add_argument(
        "--opponents", nargs="*", choices=opponents.NAMES, default=list(opponents.NAMES)
    )
    parser.add_argument("--seconds", type=float, default=ours.SECONDS, help="our search")
    parser.add_argument(
        "--autogluon-seconds", type=float, default=automl.SECONDS, help="a fit of AutoGluon"
    )
    parser.add_argument(
        "--long", action="store_true", help="AutoGluon with 1,800 s on one date of cdnow too"
    )
    parser.add_argument(
        "--customers", type=int, default=sets.CUSTOMERS, help="of the simulated shop"
    )
    parser.add_argument(
        "--latent-customers",
        type=int,
        default=20_000,
        help="of the simulated shop beside its truth",
    )
    parser.add_argument("--json", action="store_true", help="the last line alone")
    return parser


def _verdicts(figures: dict[str, Any]) -> str:
    words = {True: "holds", False: "MISSED", None: ""}
    return "\n".join(
        f"  {name:40}{told['value']!s:>10}  {told['wanted']:28}{words[told['holds']]}"
        for name, told in figures.items()
    )


if __name__ == "__main__":
    main()
