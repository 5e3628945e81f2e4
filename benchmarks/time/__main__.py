"""How good the curve is: `python -m benchmarks.time [--sets SET …] [--customers N] [--json]`.

Six data sets, three dates each and earlier ones, so that 180 and 365 days are known by now. The
churn model learns from the training rows as the product does, the curve from p without the row's
customer and from events known at the evaluation date. Each horizon whose outcome is known is
judged beside a separate classifier of the product for it, and beside Kaplan–Meier, BG/NBD, Weibull
waits and, with contracts, the shifted-beta-geometric model. Fits are stored under
`.benchmarks/models`. The last line is one JSON object with each figure.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from benchmarks.models.sets import CUSTOMERS, DATES, EARLIER, Case, present
from benchmarks.time import best_possible
from benchmarks.time.figures import figures, report_text
from benchmarks.time.judge import judge_date
from benchmarks.time.training import training_seconds
from features.core.progress import set_quiet


def main() -> None:
    arguments = _parser().parse_args()
    set_quiet(False)  # progress on standard error
    arguments.sets = present(arguments.sets)
    dates = [
        judge_date(Case(name, day, arguments.customers))
        for name in arguments.sets
        for day in (*EARLIER[name], *DATES[name])
    ]
    seconds: dict[str, Any] = {
        name: training_seconds(Case(name, DATES[name][-1], arguments.customers))
        for name in (arguments.sets if arguments.training else ())
    }
    result = figures(dates, seconds)
    if arguments.filter_customers:
        shares = best_possible.measure(arguments.filter_customers)
        result |= best_possible.figures(shares)
        if not arguments.json:
            print(best_possible.report_text(shares), flush=True)
    if not arguments.json:
        print(f"{report_text(dates)}\n{_verdicts(result)}\n", flush=True)
    print(json.dumps(result))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time", description=__doc__)
    parser.add_argument("--sets", nargs="*", choices=list(DATES), default=list(DATES))
    parser.add_argument(
        "--customers", type=int, default=CUSTOMERS, help="of the simulated businesses"
    )
    parser.add_argument(
        "--no-training",
        dest="training",
        action="store_false",
        help="do not measure the processor time of whole trainings",
    )
    parser.add_argument(
        "--filter-customers",
        type=int,
        default=0,
        help="beside the Bayesian filter on a simulated shop of so many customers (20,000: half "
        "an hour); 0: not",
    )
    parser.add_argument("--json", action="store_true", help="the last line alone")
    return parser


def _verdicts(result: dict[str, Any]) -> str:
    verdicts = {True: "holds", False: "MISSED", None: ""}
    return "\n".join(
        f"  {name:34}{one['value']!s:>10}  {one['wanted']!s:>8}  {verdicts[one['holds']]}"
        for name, one in result.items()
    )


if __name__ == "__main__":
    main()
