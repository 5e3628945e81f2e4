"""Cost and value of the features: `python -m benchmarks.features [--only PART …] [--json]`.

The parts run one after the other, each in its own process, so that its peak memory is its own. The
last line is one JSON object with the figures of the parts that ran.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from benchmarks import children

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

PARTS = ("expert", "pairs", "requests", "large", "quality")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    arguments = parser.parse_args()
    all_figures: dict[str, Any] = {}
    for name in arguments.only:
        figures, report, seconds = children.run_part("benchmarks.features", name)
        all_figures |= figures
        if not arguments.json:
            print(f"{name} ({seconds:.0f} s)\n{report}\n", flush=True)
    print(json.dumps(all_figures))


if __name__ == "__main__":
    main()
