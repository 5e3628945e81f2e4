"""How long the business tables take: `python -m benchmarks.tables [--customers N] [--json]`.

The simulated shop at the end of its data, all tables that need no scores; reading the files is not
counted. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date

from benchmarks.models.sets import Case
from features.indicators.all_tables import SECTIONS
from features.indicators.indicator_data import IndicatorData

CUSTOMERS, SECONDS = 100_000, 20.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    arguments = parser.parse_args()
    case = Case("simulation", date(2024, 8, 1), arguments.customers)
    data = IndicatorData(case.history, case.settings, case.history.data_until)
    seconds = {}
    for name, make in SECTIONS.items():
        began = time.perf_counter()
        make(data)
        seconds[name] = round(time.perf_counter() - began, 2)
    data.close()
    total = round(sum(seconds.values()), 1)
    if not arguments.json:
        print("\n".join(f"  {name:16}{took:8.2f} s" for name, took in seconds.items()))
    figure = {"value": total, "wanted": SECONDS, "holds": total <= SECONDS}
    print(json.dumps({"seconds_of_all_tables": figure | {"by_section": seconds}}))


if __name__ == "__main__":
    main()
