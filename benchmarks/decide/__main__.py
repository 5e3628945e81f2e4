"""Decisions and their proof: `python -m benchmarks.decide [--only PART] [--json]`.

Parts: `cheap` (1,000 campaigns without a model: coverage, false effects, daily looks), `chosen`
(campaigns of a grocer that were not drawn), `empc` (beside a numerical integral), `cycles` (ten
retrainings after campaigns), `promotion` (two drawn arms), `million` (a million customers
decided), `worlds` (simulated shops after one logged campaign each, judged by the true effects; each
world is stored under `.benchmarks/decide`, so an interrupted run continues). The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from benchmarks.decide import cheap_campaigns, chosen, cycles, empc, million, promotion, worlds

PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "cheap": lambda _: cheap_campaigns.measure(),
    "chosen": lambda _: chosen.measure(),
    "empc": lambda _: empc.measure(),
    "cycles": lambda _: cycles.measure(),
    "promotion": lambda _: promotion.measure(),
    "million": lambda _: million.measure(),
    "worlds": lambda arguments: worlds.measure(arguments.customers, arguments.worlds),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decide", description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--customers", type=int, default=20_000, help="of each world")
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            figures |= part(arguments)
    if not arguments.json:
        print("\n".join(f"  {name:40} {each}" for name, each in figures.items()))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
