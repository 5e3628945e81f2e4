"""The value of the models: `python -m benchmarks.models [--only PART …] [--sets SET …] [--json]`.

The parts run one after the other, each in its own process. Fits are stored under
`.benchmarks/models`, so that an interrupted run continues where it stopped. The last line is one
JSON object with the value of each figure, what is wanted, and whether it holds.
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

PARTS = ("churn", "stages", "next_stages", "calibrated", "later", "latent", "past")


def main() -> None:
    arguments = _parser().parse_args()
    arguments.sets = sets.present(arguments.sets)
    options = part.Options(
        arguments.sets,
        arguments.opponents,
        arguments.seconds,
        arguments.autogluon_seconds,
        arguments.long,
        arguments.customers,
        arguments.latent_customers,
    )
    all_figures: dict[str, Any] = {}
    for name in arguments.only:
        figures, report, seconds = children.run_part("benchmarks.models", name, options)
        all_figures |= figures
        if not arguments.json:
            print(f"{name} ({seconds:.0f} s)\n{report}\n{_verdicts(figures)}\n", flush=True)
    print(json.dumps(all_figures))


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
        help="of the simulated shop of part latent",
    )
    parser.add_argument("--json", action="store_true", help="the last line alone")
    return parser


def _verdicts(figures: dict[str, Any]) -> str:
    verdicts = {True: "holds", False: "MISSED", None: ""}
    return "\n".join(
        f"  {name:40}{one['value']!s:>10}  {one['wanted']:28}{verdicts[one['holds']]}"
        for name, one in figures.items()
    )


if __name__ == "__main__":
    main()
