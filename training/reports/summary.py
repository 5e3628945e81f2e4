"""What a finished job says to the person who started it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.recipes.stages import CHINESE, STAGES
from training import metrics
from training.evaluation import baseline_comparison, gate, learning_curve, slices
from training.uncertainty import fit_evidence, fit_prediction_sets

# Whose rate a score can be, finest first.
RATES = {
    "own_past": "the own past",
    "stage": "the stage",
    "segment": "the segment",
    "everyone": "everyone",
}


def trained(account: dict[str, Any]) -> str:
    """Figures beside the baselines, for everyone and for eligible, and the verdicts in words."""
    if account["status"] == "not_enough_data":
        return f"  not enough data to train: {account['why']['got']}\n  {account['why']['rule']}\n  {account['why']['do']}"
    dates = account["as_of"]
    lines = [
        f"  trained on {len(dates['train'])} dates up to {dates['train'][-1]} ({account['train_rows']:,} rows), "
        f"evaluated on {', '.join(dates['evaluate'])}"
    ]
    if account["left_out"]:
        lines.append(
            f"  {len(account['left_out'])} columns left out: their windows reach back further than the history trained on"
        )
    lines += ["", *_churn(account["churn"]), "", *_stages(account["next_stage"])]
    lines += ["", *(f"  {line}" for line in baseline_comparison.lines(account, why=False))]
    lines += [
        *fit_prediction_sets.lines(account),
        *fit_evidence.lines(account),
        *learning_curve.lines(account),
    ]
    lines += ["", *(f"  {line}" for line in gate.lines(account))] if account.get("gate") else []
    if account["status"] == "no_skill":
        lines += [
            "",
            "  No skill: the model cannot be told from chance. Scores are base rates, marked no_skill.",
        ]
    return "\n".join(lines)


def released(name: str, status: str, account: dict[str, Any], runs: dict[str, str | None]) -> str:
    """What `train` says: the account, and the release that waits to be promoted."""
    missing = [job for job, run in runs.items() if run is None]
    told = f"{trained(account)}\n\n  release {name} ({status}), not yet served: lifecycle promote"
    waits = "it waits under mlruns/pending and is recorded later"
    return told + (
        f"\n  warning: not recorded in MLflow now: {', '.join(missing)}; {waits}" if missing else ""
    )


def promoted(name: str, status: str, account: dict[str, Any]) -> str:
    """What `promote` says: which release is served, what is recommended, and what the gate found."""
    lines = [
        f"serving release {name} ({status})",
        *baseline_comparison.lines(account),
        *gate.lines(account),
    ]
    return "\n  ".join(lines)


def _churn(section: dict[str, Any]) -> list[str]:
    told = {
        who: f"{who}: {found['rows']:,} customers"
        + ("" if found["rate"] is None else f", {found['rate']:.1%} left")
        for who, found in section.items()
    }
    rungs = _rungs(
        section, lambda found: (_four(found.get("auroc")), _four(found["log_loss"]), _lift(found))
    )
    gains = {
        who: [found.get(f"gain_{percent}") for percent in metrics.GAINS]
        for who, found in section.items()
    }
    lines = [
        _across("  churn", told.values()),
        _across("", [_columns("AUROC", "log loss", "lift")] * len(told)),
        *rungs,
    ]
    lines.append(
        _across("    our AUROC lies in", [_between(found, "auroc") for found in section.values()])
    )
    lines.append(
        _across(
            "    off by on average (ECE)",
            [_percent(found.get("ece")) for found in section.values()],
        )
    )
    lines.append(
        _across(
            "    leavers in top 10, 20, 30 %",
            [", ".join(map(_percent, each)) for each in gains.values()],
        )
    )
    return [*lines, *_notes(section, "auroc")]


def _stages(section: dict[str, Any]) -> list[str]:
    def figures(found: dict[str, Any]) -> tuple[str, ...]:
        of = found["changes"]
        return (
            _four(found["log_loss"]),
            _four(found["macro_f1"]),
            _percent(of["recall"]),
            _percent(of["precision"]),
        )

    changed = [
        f"{who}: {found['changes']['changed']:,} of {found['rows']:,} changed"
        for who, found in section.items()
    ]
    same = [
        _columns("–", _four(found["if_nothing_changed"]["macro_f1"]), "–", "–")
        for found in section.values()
    ]
    lines = [
        _across("  next stage", changed),
        _across("", [_columns("log loss", "macro-F1", "foreseen", "came true")] * len(changed)),
    ]
    return [
        *lines,
        _across("    the stage of today", same),
        *_rungs(section, figures),
        *_notes(section, "accuracy"),
    ]


def _rungs(
    section: dict[str, Any], figures: Callable[[dict[str, Any]], tuple[str, ...]]
) -> list[str]:
    """A line a rung, simple ones first and our model last, the populations side by side."""
    names = [
        rung["name"]
        for _, found in baseline_comparison.populations(section)
        for rung in found["rungs"]
    ]
    lines = []
    for name in dict.fromkeys(names):
        each = [
            found if name == baseline_comparison.OURS else found["baselines"].get(name)
            for found in section.values()
        ]
        cells = [_columns(*figures(one)) if one and one["rows"] else _columns("–") for one in each]
        lines.append(_across(f"    {name}", cells))
    return lines


def _notes(section: dict[str, Any], figure: str) -> list[str]:
    """The verdict, the worst slice, and those never trained on, a line a population."""
    lines = [
        f"    {who}: {found['verdict']}" for who, found in baseline_comparison.populations(section)
    ]
    for who, found in section.items():
        if found["worst_slice"]:
            lines.append(
                f"    {who}, worst of {found['worst_slice']['among']} slice(s) that can tell: {_slice(found['worst_slice'])}"
            )
        lines += [
            f"    {who}, {_new(row, figure)}"
            for row in found["customers"]
            if row["name"] != slices.TRAINED_ON
        ]
    return lines


def _slice(found: dict[str, Any]) -> str:
    return f"{found['of']} {found['name']} ({found['rows']:,} rows), {found['verdict']}"


def _new(row: dict[str, Any], figure: str) -> str:
    told = f"{row['name']}: {row['rows']:,} rows"
    if row.get("too_few"):
        return f"{told}, too few to tell"
    named = "AUROC" if figure == "auroc" else figure
    interval = f" ({_between(row, figure)})" if f"{figure}_low" in row else ""
    words = metrics.verdict("the base rate", row)
    return f"{told}, {named} {_four(row[figure])}{interval}, {words}"


def _across(name: str, cells: Iterable[str]) -> str:
    return f"{name:<32}{''.join(f'{cell:<44}' for cell in cells)}".rstrip()


def _columns(*cells: str) -> str:
    return "".join(f"{cell:>10}" for cell in cells)


def _four(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _lift(found: dict[str, Any]) -> str:
    return "–" if found.get("top_decile_lift") is None else f"{found['top_decile_lift']:.2f}"


def _between(found: dict[str, Any], name: str) -> str:
    low, high = found.get(f"{name}_low"), found.get(f"{name}_high")
    return "–" if low is None else f"{low:.3f} … {high:.3f}"


def _rates(rows: list[dict[str, Any]]) -> list[str]:
    """How many scores are rates and not a model's, and of whom."""
    of = [
        mark.removeprefix("rate_of:")
        for row in rows
        for mark in row["warnings"]
        if mark.startswith("rate_of:")
    ]
    told = ", ".join(
        f"{of.count(level):,} by the rate of {RATES[level]}" for level in RATES if level in of
    )
    return ["", f"  no model's scores, but rates: {told}"] if of else []


def scored(folder: Path, *, riskiest: int = 10) -> str:
    """Customers by stage, and the riskiest eligible ones with their reasons."""
    rows = pq.read_table(folder / "scores.parquet").to_pylist()
    counts = {stage: sum(row["stage"] == stage for row in rows) for stage in STAGES}
    width = max(counts.values()) or 1
    lines = ["  customers by stage"]
    lines += [
        f"    {stage:<10}{CHINESE[stage]:<6}{count:>8,}  {'█' * round(30 * count / width)}"
        for stage, count in counts.items()
    ]
    lines += _rates(rows)
    able = [row for row in rows if row["eligible"] and row["p_churn"] is not None]
    able.sort(key=lambda row: (-row["p_churn"], row["customer_id"]))
    lines += ["", f"  the {min(riskiest, len(able))} riskiest of {len(able):,} eligible customers"]
    for row in able[:riskiest]:
        lines.append(f"    {row['customer_id']:<12} p = {row['p_churn']:.3f}  {row['stage']}")
        lines += [f"{'':17}{row[key]}" for key in ("reason_1", "reason_2", "reason_3") if row[key]]
    return "\n".join(lines)
