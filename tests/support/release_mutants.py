"""Releases that somebody broke: one change each, after which every hash is made to fit.

No mutant is equivalent to a valid release: texts that are notes, figures that nothing reads, and
keys that may be null stay as they are.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.damaged_home import reseal

Change = Callable[[Path], None]
JSON_FILES = ("models.json", "stages.json", "features.json", "evaluation.json", "seen.json")
# What code reads of an evaluation; the other figures are only shown.
READ_OF_EVALUATION = {
    "status",
    "horizon_days",
    "features",
    "as_of",
    "models",
    "recommendation",
    "gate",
    "movement",
    "unused_features",
    "sensitive_left_out",
    "note",
    "late_activity",
    "train_rows",
}
MAY_BE_NULL = {
    "reason_reference",
    "prediction_sets",
    "rate_spread",
    "zone",
    "data_until",
    "own",
    "eligible_days",
    "multiples",
}
DATES = {"train", "evaluate", "refit"}
MAY_BE_EMPTY = {
    *(
        "usual",
        "widespread",
        "last_families",
        "knots",
        "heights",
        "pooled",
        "unused_features",
        "why",
    ),
    *("sensitive_left_out", "trial_plans", *DATES),
}
MODELS = {"churn", "next_stage", "next-stage"}
# Texts that no reader of a release takes for a value.
NO_VALUES = {
    "NaN": "NaN",
    "infinity": "-Infinity",
    "huge": "1e999",
    "long": "9" * 400,
    "deep": "[" * 3000 + "]" * 3000,
}
OUT_OF_RANGE: list[tuple[str, tuple[str | int, ...], object]] = [
    ("models.json", ("status",), "perfect"),
    ("models.json", ("status",), 1),
    ("models.json", ("churn_rows",), -1),
    ("models.json", ("stay_rows",), 1.5),
    ("models.json", ("classes",), ["loyal", "growing", "at_risk", "dormant"]),
    ("models.json", ("classes", 0), "nobody"),
    ("models.json", ("columns", 0), "nothing"),
    ("models.json", ("churn", 0, "kind"), "magic"),
    ("models.json", ("churn", 0, "kind"), ["linear"]),
    ("models.json", ("churn", 0, "weight"), -1),
    ("models.json", ("churn", 0, "weight"), 0.9),
    ("models.json", ("next_stage", 1, "weight"), 0),
    ("models.json", ("churn", 0, "scale", 3), 0),
    ("models.json", ("churn", 0, "intercept"), [0.0, 0.0]),
    ("models.json", ("churn", 1, "file"), "../../secret.ubj"),
    ("models.json", ("churn", 1, "file"), "churn-2.ubj"),
    ("models.json", ("calibration", "low"), -1),
    ("models.json", ("calibration", "kind"), "isotonic"),
    ("models.json", ("prediction_sets", "level"), 2),
    ("models.json", ("prediction_sets", "eligible", 2), -1),
    ("models.json", ("prediction_sets", "pooled"), ["nobody"]),
    ("models.json", ("rate_spread", "standard_deviations", 0), -1),
    ("models.json", ("rate_spread", "standard_deviations"), [0.1, 0.2, 0.3, 0.4]),
    ("models.json", ("reason_reference", "usual"), [[1.0]]),
    ("models.json", ("reason_reference", "widespread"), [[[1.0, 2.0]]]),
    ("models.json", ("reason_reference", "last_families"), ["recency", "recency"]),
    ("models.json", ("surprise",), 1),
    ("stages.json", ("reached_churned",), -1),
    ("stages.json", ("reached_churned",), 0),
    ("stages.json", ("gaps",), -1),
    ("stages.json", ("population_mean_gap_us",), 0),
    ("stages.json", ("population_mean_gap_us",), -1),
    ("stages.json", ("median_gap_days",), -1),
    ("stages.json", ("multiples",), [4.0, 3.0, 2.0]),
    ("stages.json", ("multiples", 0), -1),
    ("stages.json", ("windows_days",), [0]),
    ("stages.json", ("half_lives_days",), [1.0, 1.0, 1.0]),
    ("stages.json", ("horizon_days",), 10**9),
    ("stages.json", ("horizon_days",), 45),
    ("stages.json", ("grace_days",), -1),
    ("stages.json", ("grace_days",), 2),
    ("stages.json", ("minor_units",), 7),
    ("stages.json", ("learned_as_of",), -1),
    ("stages.json", ("reactivated_share",), 2),
    ("stages.json", ("scales",), []),
    ("stages.json", ("stages",), ["churned"]),
    ("stages.json", ("attributes", 0, "type"), "magic"),
    ("stages.json", ("attributes", 0, "constant"), False),
    ("stages.json", ("surprise",), 1),
    ("seen.json", ("outcomes_until",), 0),
    ("seen.json", ("outcomes_until",), -1),
    ("seen.json", ("outcomes_until",), 1.5e15),
    ("seen.json", ("population_as_of",), 1_600_000_000_000_000),
    ("seen.json", ("purpose",), "magic"),
    ("seen.json", ("surprise",), 1),
    ("features.json", ("columns", 0, "unit"), "hours"),
    ("features.json", ("tables",), ["transactions", "transactions"]),
    ("features.json", ("tables", 0), "secrets"),
    ("features.json", ("surprise",), 1),
    ("features.json", ("config", "surprise"), 1),
    ("features.json", ("config", "churn", "grace_days"), -1),
    ("features.json", ("config", "churn", "horizon_days"), "60"),
    ("features.json", ("config", "churn", "horizon_days"), 0),
    ("features.json", ("config", "churn", "label_latency_days"), True),
    ("features.json", ("config", "satisfaction", "resolve_within_hours"), 0),
    ("features.json", ("config", "contract", "max_staleness_days"), True),
    ("features.json", ("config", "contract", "constant_attributes"), []),
    ("features.json", ("config", "business", "currency"), "euro"),
    ("features.json", ("config", "business", "zone"), "Europe/Nowhere"),
    ("features.json", ("config", "features", "off"), ["no such feature"]),
    ("features.json", ("config", "features", "own"), "/etc/passwd"),
    ("evaluation.json", ("status",), "perfect"),
    ("evaluation.json", ("gate", "verdict"), "fine"),
    ("evaluation.json", ("gate", "champion"), "../../elsewhere"),
    ("evaluation.json", ("gate", "why"), "a text"),
    ("evaluation.json", ("gate", "populations"), None),
    ("evaluation.json", ("gate", "populations"), {"everyone": {}, "eligible": {}}),
    ("evaluation.json", ("models", "churn", "weight"), 2),
    ("evaluation.json", ("models", "churn", "surprise"), 1),
    ("evaluation.json", ("models", "other"), "frequencies"),
    ("evaluation.json", ("recommendation", "churn"), "a text"),
]


@dataclass(frozen=True)
class Mutant:
    """A change of one file, and what it is in words."""

    label: str
    file: str
    change: Change

    def write(self, source: Path, folder: Path) -> Path:
        """A changed copy of the release `source` in `folder`, with hashes that fit; its place."""
        copy = folder / "mutant"
        shutil.copytree(source, copy)
        self.change(copy)
        return reseal(copy)


def mutants(source: Path, *, seed: int, count: int) -> list[Mutant]:
    """`count` different mutants of a release, from every file; equal for equal arguments."""
    rng = random.Random(seed)
    by_file: dict[str, list[Mutant]] = {}
    for mutant in _all_mutants(source, rng):
        by_file.setdefault(mutant.file, []).append(mutant)
    for each in by_file.values():
        rng.shuffle(each)
    result: list[Mutant] = []
    while len(result) < count and any(by_file.values()):
        result += [each.pop() for each in by_file.values() if each]
    return result[:count]


def _all_mutants(source: Path, rng: random.Random) -> Iterator[Mutant]:
    for file in JSON_FILES:
        yield from _changed_values(source, file, rng)
    for file, path, value in OUT_OF_RANGE:
        yield _with_value(file, path, json.dumps(value), f"{value!r:.30}")
    yield from _whole_files(source)
    yield from _tables(source)


def _changed_values(source: Path, file: str, rng: random.Random) -> Iterator[Mutant]:
    """A value of another type, or none, at one place of each kind."""
    value = json.loads((source / file).read_text())
    places: dict[tuple[str, ...], list[tuple[str | int, ...]]] = {}
    for path in _paths(value):
        if file != "evaluation.json" or path[0] in READ_OF_EVALUATION:
            kind = tuple("*" if isinstance(part, int) else part for part in path)
            places.setdefault(kind, []).append(path)
    for paths in places.values():
        path = rng.choice(paths)
        old = _value_at(value, path)
        for label, text in (*_other_values(path, old), rng.choice([*NO_VALUES.items()])):
            yield _with_value(file, path, text, label)
        if isinstance(path[-1], str) and not (file == "evaluation.json" and _is_optional(path)):
            yield Mutant(f"{file} {_text(path)} dropped", file, _dropping(file, path))


def _other_values(path: tuple[str | int, ...], old: object) -> Iterator[tuple[str, str]]:
    if not isinstance(old, str):
        yield "text", '""'
    may_be_empty = path[-1] in MAY_BE_EMPTY and (old is None or isinstance(old, list))
    if not may_be_empty and old != []:
        yield "empty list", "[]"
    if not isinstance(old, dict):
        yield "object", "{}"
    may_be_null = path[-1] in MAY_BE_NULL or "usual" in path
    may_be_null |= path == ("movement", "days") or path[:-1] == ("movement", "largest")
    may_be_null |= path[0] == "recommendation" and path[-1] in MODELS
    if old is not None and not may_be_null:
        yield "null", "null"
    if isinstance(old, int | float):
        yield "flag", "true" if not isinstance(old, bool) else "0.5"


def _is_optional(path: tuple[str | int, ...]) -> bool:
    """Whether an evaluation may be without this key: others are valid releases too."""
    return (
        len(path) == 1
        or path[-1] in DATES | MODELS
        or bool({"losses", "directions"} & {*path[:-1]})
    )


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, each in inner:
        yield from _paths(each, (*path, key))


def _value_at(value, path):
    for part in path:
        value = value[part]
    return value


def _text(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


def _with_value(file: str, path: tuple[str | int, ...], text: str, label: str) -> Mutant:
    marker = "the place of the new value"

    def change(folder: Path) -> None:
        value = json.loads((folder / file).read_text())
        _value_at(value, path[:-1])[path[-1]] = marker
        (folder / file).write_text(json.dumps(value).replace(f'"{marker}"', text))

    return Mutant(f"{file} {_text(path)}: {label}", file, change)


def _dropping(file: str, path: tuple[str | int, ...]) -> Change:
    def change(folder: Path) -> None:
        value = json.loads((folder / file).read_text())
        del _value_at(value, path[:-1])[path[-1]]
        (folder / file).write_text(json.dumps(value))

    return change


def _rewriting(file: str, edit: Callable[[bytes], bytes]) -> Change:
    def change(folder: Path) -> None:
        (folder / file).write_bytes(edit((folder / file).read_bytes()))

    return change


def _swapping(one: str, other: str) -> Change:
    def change(folder: Path) -> None:
        raw = (folder / one).read_bytes()
        (folder / one).write_bytes((folder / other).read_bytes())
        (folder / other).write_bytes(raw)

    return change


def _whole_files(source: Path) -> Iterator[Mutant]:
    for file in JSON_FILES:
        for label, edit in {
            "cut": lambda raw: raw[: len(raw) // 2],
            "empty": lambda raw: b"",
            "a list": lambda raw: b"[" + raw + b"]",
            "a key twice": lambda raw: raw.replace(b"{", b'{"status": "ok", "status": "ok",', 1),
            "deep": lambda raw: b"[" * 100_000,
            "no UTF-8": lambda raw: raw.replace(b'"', b'"\xff', 1),
            "half a surrogate": lambda raw: raw.replace(b"{", b'{"\\ud800": 1,', 1),
        }.items():
            yield Mutant(f"{file} {label}", file, _rewriting(file, edit))
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.*"))
    # A release from before the monitor has no reference, and is one all the same.
    for file in (name for name in names if name not in ("manifest.json", "reference.json")):
        yield Mutant(f"{file} gone", file, lambda folder, file=file: (folder / file).unlink())
    for one, other in (
        ("stages.json", "features.json"),
        ("models.json", "evaluation.json"),
        ("golden/rows.parquet", "golden/scores.parquet"),
        ("population.parquet", "golden/transactions.parquet"),
        ("churn-1.ubj", "next_stage-1.ubj"),
        ("next_stage-2.ubj", "churn-2.ubj"),
    ):
        yield Mutant(f"{one} and {other} swapped", one, _swapping(one, other))
    for file in ("card.md", "card.zh.md"):
        yield Mutant(f"{file} no UTF-8", file, _rewriting(file, lambda raw: raw + b"\xff"))
    for file in ("own_features.py", "golden/extra.parquet", "churn-9.ubj", "notes.txt"):
        yield Mutant(
            f"{file} added", "a new file", lambda folder, file=file: (folder / file).write_text("")
        )


def _tables(source: Path) -> Iterator[Mutant]:
    for path in sorted(source.rglob("*.parquet")):
        file = path.relative_to(source).as_posix()
        for label, edit in {
            "no row": lambda table: table.slice(0, 0),
            "three times the rows": lambda table: pa.concat_tables([table] * 3),
            "without a column": lambda table: table.drop_columns(table.column_names[1:2]),
            "a column more": lambda table: table.append_column("x", table[0]),
            "renamed": lambda table: table.rename_columns(
                ["x", *table.column_names[1:]],
            ),
        }.items():
            yield Mutant(f"{file} {label}", file, _with_table(file, edit))
        yield Mutant(f"{file} cut", file, _rewriting(file, lambda raw: raw[: len(raw) // 2]))
        yield Mutant(f"{file} empty", file, _rewriting(file, lambda raw: b""))
    nan, two = float("nan"), [1.0, 2.0]
    for name, value in (
        *((name, nan) for name in ("r", "alpha", "a", "b", "wait_shape", "money_p", "money_v")),
        *((name, -1.0) for name in ("r", "alpha", "wait_shape", "money_q", "money_v")),
        *((name, None) for name in ("as_of", "r", "items", "cohort_cuts", "earliest_at")),
        *((name, two) for name in ("amount_quantiles", "cohort_quantiles")),
        ("amount_quantiles", [nan] * 19),
        ("amount_quantiles", [float(-step) for step in range(19)]),
        ("cohort_cuts", [3, 2, 1]),
        ("as_of", -1),
        ("as_of", 5),
        ("as_of", 2**62),
        ("as_of", "2024-01-01"),
        ("earliest_at", 2**62),
        ("item_means", [-1]),
        ("items", ["i", "i"]),
        ("r", "0.5"),
        ("a", True),
        ("b", float("inf")),
    ):
        file = "population.parquet"
        yield Mutant(f"{file} {name}: {value!r:.30}", file, _with_cell(name, value))


def _with_table(file: str, edit: Callable[[pa.Table], pa.Table]) -> Change:
    def change(folder: Path) -> None:
        pq.write_table(edit(pq.read_table(folder / file)), folder / file)

    return change


def _with_cell(name: str, value: object) -> Change:
    def change(folder: Path) -> None:
        path = folder / "population.parquet"
        row = pq.read_table(path).to_pylist()[0] | {name: value}
        pq.write_table(pa.Table.from_pylist([row]), path)

    return change
