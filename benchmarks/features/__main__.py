"""What the features cost and what they are worth: `python -m benchmarks.features [--only PART …] [--json]`.

Each part runs in a process of its own (its peak memory is its own), one after the other. The last line is one JSON
object with the figures of the parts that ran.
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
    asked = parser.parse_args()
    told: dict[str, Any] = {}
    for name in asked.only:
        figures, words, seconds = children.run("benchmarks.features", name)
        told |= figures
        if not asked.json:
            print(f"{name} ({seconds:.0f} s)\n{words}\n", flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
