"""What a finished job says to the person who started it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.stages import CHINESE, STAGES


def trained(account: dict[str, Any]) -> str:
    """Figures beside the baselines, for everyone and for eligible, and the verdicts in words."""
    if account["status"] == "not_enough_data":
        return (
            f"  not enough data to train: {account['why']['got']}\n  {account['why']['rule']}\n  {account['why']['do']}"
        )
    dates = account["as_of"]
    lines = [f"  trained on {len(dates['train'])} dates up to {dates['train'][-1]} ({account['train_rows']:,} rows), "
             f"evaluated on {', '.join(dates['evaluate'])}"]  # fmt: skip
    if account["left_out"]:
        lines.append(
            f"  {len(account['left_out'])} columns left out: their windows reach back further than the history trained on"
        )
    for who in ("everyone", "eligible"):
        lines += ["", *_churn(who, account["churn"][who]), *_stages(account["next_stage"][who])]
    if account["status"] == "no_skill":
        lines += ["", "  No skill: the model cannot be told from chance. Scores are base rates, marked no_skill."]
    return "\n".join(lines)


def _churn(who: str, found: dict[str, Any]) -> list[str]:
    rate = "" if found["rate"] is None else f", {found['rate']:.1%} left"
    lines = [f"  churn, {who} ({found['rows']:,} customers{rate})       AUROC   log loss"]
    if found["rows"]:
        lines.append(_line("our model", found))
        lines += [_line(name, baseline) for name, baseline in found["baselines"].items()]
    return lines


def _line(name: str, found: dict[str, Any]) -> str:
    auroc = "      –" if found.get("auroc") is None else f"{found['auroc']:>7.4f}"
    interval = "" if found.get("auroc") is None else f"   ({found['auroc_low']:.3f} … {found['auroc_high']:.3f})"
    return f"    {name:<44}{auroc}{found['log_loss']:>10.4f}{interval if name == 'our model' else ''}"


def _stages(found: dict[str, Any]) -> list[str]:
    if not found["rows"]:
        return []
    lines = [f"  next stage{'':52}log loss", f"    {'our model':<51}{found['log_loss']:>10.4f}"]
    return lines + [f"    {name:<51}{baseline['log_loss']:>10.4f}" for name, baseline in found["baselines"].items()]


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
    able = [row for row in rows if row["eligible"] and row["p_churn"] is not None]
    able.sort(key=lambda row: (-row["p_churn"], row["customer_id"]))
    lines += ["", f"  the {min(riskiest, len(able))} riskiest of {len(able):,} eligible customers"]
    for row in able[:riskiest]:
        lines.append(f"    {row['customer_id']:<12} p = {row['p_churn']:.3f}  {row['stage']}")
        lines += [f"{'':17}{row[key]}" for key in ("reason_1", "reason_2", "reason_3") if row[key]]
    return "\n".join(lines)
