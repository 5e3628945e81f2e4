"""Whether anything moved: a digest of feature values, labels, stages and scores, column by column.

    python -m benchmarks.digest --out today.json [--only demo]
    python -m benchmarks.digest --against today.json

Four businesses (the simulated shop, the simulated subscriptions, online_retail, cdnow) go through
the command line: `examples`, `stages`, `run`. The search is bound by trials, so equal data give
equal models. A column's digest is the hash of its values in the order of as_of and customer_id,
numbers as float64, instants as microseconds. Reasons (text) and release ids stand outside. RENAMED
maps what had another name when a digest was written. The last line is one JSON object: {business:
{file: {column: digest}}}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.recipes.definitions import SNAPS
from features.recipes.stages import STAGE_RULES
from lifecycle import simulation

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {"trials": 3, "seconds": 86_400}
BUSINESSES = ("shop", "subscription", "online_retail", "cdnow")
OUTSIDE = re.compile(r"^(reason_\d|release_id)$")
# Column names and values of today ← what an older digest calls them.
RENAMED: dict[str, str] = {
    "run": "streak",
    "gaps_outlasted": "recency_percentile",
    "gap_z": "recency_zscore",
    "wait_surprise": "recency_cumulative_hazard",
    "regularity": "irregularity",
    "gap_mean_recent": "gap_mean_last_five",
    "mean_age": "mean_activity_age",
    "active_periods": "active_period_share",
    "method_changes": "payment_method_changes",
    "recency_leaving": "recency_cancel_page",
    "recency_answer": "recency_response",
    "channel_spread": "channels_per_interaction",
    "breadth": "distinct_categories",
    "silence_streak": "unanswered_streak",
    "unrecovered": "inactive_since_complaint",
    "recovered": "purchased_after_resolution",
    "within_service_level": "complaints_within_sla_share",
    "past_stay_rate": "past_retention_rate",
    "past_last": "past_last_retained",
}
# Features with windows: one column for each window that can be learned, and one for all time.
RENAMED_WITH_WINDOWS = {
    "pace": "trend_ratio",
    "change": "count_change",
    "surprise": "count_zscore",
    "empty_streak": "inactive_streak",
    "engagement_pace": "engagement_trend_ratio",
    "engaged_quantity": "interaction_quantity",
    "leaving_intent": "cancel_page_visits",
    "channel_hops": "channel_switch_share",
    "novelty": "new_category_share",
    "silence": "unanswered_surveys",
}
RENAMED |= {
    f"{before}_{window}": f"{today}_{window}"
    for before, today in RENAMED_WITH_WINDOWS.items()
    for window in (*(f"{days}d" for days in SNAPS), "all")
}
# Features with half-lives of 1, 3 and 6 mean gaps.
RENAMED |= {
    f"{name}_faded_{k}g": f"{name}_ewm_{k}x_gap"
    for name in ("activity", "purchases", "amount", "interactions", "response_rate")
    for k in (1, 3, 6)
}
RENAMED_VALUES: dict[str, dict[str, str]] = {}
# `stage_rule` held the number of the rule in older digests, so its names are hashed as these
# numbers.
RULE_NUMBERS = {name: float(number) for number, name in enumerate(STAGE_RULES, start=1)}


def configuration(name: str, folder: Path) -> Path:
    """The configuration of one business in `folder`, its search bound by trials alone."""
    if name in ("shop", "subscription"):
        mode = "retail" if name == "shop" else name
        simulation.write(simulation.simulate(customers=2000, mode=mode), folder=folder)
        path = folder / "lifecycle.toml"
        text = re.sub(r"(?m)^seconds = .*$", "", path.read_text(encoding="utf-8"))
    else:
        path = folder / f"{name}.toml"
        text = (ROOT / "examples" / path.name).read_text(encoding="utf-8") + "\n[training]\n"
    text = re.sub(r"(?m)^trials = .*$", "", text)
    bounds = "\n".join(f"{key} = {value}" for key, value in SETTINGS.items())
    path.write_text(text.replace("[training]", f"[training]\n{bounds}"), encoding="utf-8")
    return path


def digests(table: pa.Table) -> dict[str, str]:
    """The digest of every column but reasons and ids of releases."""
    order = [(name, "ascending") for name in ("as_of", "customer_id") if name in table.column_names]
    table = table.sort_by(order)
    return {
        name: column_digest(name, table[name])
        for name in table.column_names
        if not OUTSIDE.match(name)
    }


def column_digest(name: str, column: pa.ChunkedArray) -> str:
    """Sixteen hex digits over the values of one column, whatever type they are kept in."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    if name == "stage_rule":
        column = pa.chunked_array([[RULE_NUMBERS[rule] for rule in column.to_pylist()]])
    if pa.types.is_list(column.type):
        column = pc.binary_join(column, "|")
    if (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_boolean(column.type)
    ):
        values = np.array(column.cast(pa.float64()).fill_null(np.nan).to_numpy(), np.float64)
        values[np.isnan(values)] = np.nan
        content = values.tobytes()
    else:
        known_as = {today: before for before, today in RENAMED_VALUES.get(name, {}).items()}
        texts = [
            None if text is None else known_as.get(text, text)
            for text in column.cast(pa.string()).to_pylist()
        ]
        content = json.dumps(texts, ensure_ascii=False).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def measure(name: str) -> dict[str, dict[str, str]]:
    """The digests of one business: its examples, its stage history, its scores."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = configuration(name, folder)
        for command in ("examples", "stages"):
            command_line(command, "--out", folder / f"{command}.parquet", "-c", config, home=folder)
        answer = command_line("run", "-c", config, home=folder)
        files = {
            each: digests(pq.read_table(folder / f"{each}.parquet"))
            for each in ("examples", "stages")
        }
        return files | {"scores": digests(pq.read_table(Path(answer["scores"]) / "scores.parquet"))}


def command_line(*arguments: Any, home: Path) -> dict[str, Any]:
    """What a command of `lifecycle` answers with --json."""
    environment = os.environ | {
        "LIFECYCLE_HOME": str(home),
        "LIFECYCLE_DATA": os.environ["LIFECYCLE_DATA"],
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("lifecycle"), *map(str, arguments), "--json"],
        env=environment,
        cwd=home,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def differences(today: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """One line for every column that moved, came or went."""
    lines = []
    for business, files in today.items():
        for file, columns in files.items():
            older = {
                RENAMED.get(name, name): value for name, value in before[business][file].items()
            }
            moved = [n for n in sorted({*columns, *older}) if columns.get(n) != older.get(n)]
            lines += [f"{business} {file} {n}: {older.get(n)} → {columns.get(n)}" for n in moved]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=BUSINESSES, nargs="+", default=BUSINESSES)
    parser.add_argument("--out", type=Path, help="write the digests here")
    parser.add_argument(
        "--against", type=Path, help="compare with digests written before; exit 1 where any differs"
    )
    options = parser.parse_args()
    os.environ.setdefault("LIFECYCLE_DATA", str(ROOT.parent / "shared" / "data"))
    today = {}
    for name in options.only:
        print(f"digest of {name}", file=sys.stderr, flush=True)
        today[name] = measure(name)
    if options.out:
        options.out.write_text(json.dumps(today, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    moved = (
        differences(today, json.loads(options.against.read_text(encoding="utf-8")))
        if options.against
        else []
    )
    print("\n".join(moved) if moved else "nothing moved" if options.against else "")
    print(json.dumps(today, sort_keys=True))
    sys.exit(1 if moved else 0)


if __name__ == "__main__":
    main()
