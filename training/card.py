"""The card of a release: what it is for, what it was trained on, how good it is, and what it may not be used for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from features.settings import Settings
from serving.scorer import Scorer

PACKAGES = ("customer-lifecycle", "duckdb", "narwhals", "numpy", "pyarrow", "scikit-learn", "xgboost-cpu", "xgboost")


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def text(scorer: Scorer, account: dict[str, Any], settings: Settings) -> str:
    d = scorer.definitions
    lines = [
        f"# {settings.business.name}: churn and next stage",
        "",
        f"Status: **{scorer.status}**. Horizon {d.horizon_days} days. Columns: {len(scorer.columns)}. "
        f"Rows behind p: {scorer.churn_rows:,}; behind q: {scorer.stay_rows:,}.",
        f"Base gap {d.base_gap_us / 86_400_000_000:.1f} days; stage multiples {', '.join(f'{m:.2f}' for m in d.multiples)}.",
        "",
    ]
    if scorer.status == "not_enough_data":
        lines += [f"Not enough data: {account['why']['got']}. Scores are base rates."]
    else:
        lines += [
            f"Trained on {', '.join(account['as_of']['train'])}; evaluated on {', '.join(account['as_of']['evaluate'])}.",
            "",
        ]
        lines += [
            "| population | rows | rate | AUROC | log loss | best baseline's log loss |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(who, account["churn"][who]) for who in ("everyone", "eligible")]
        lines += ["", account["note"]]
    lines += ["", "For decisions about contact and offers. Not for decisions with legal effect on a person.", ""]
    return "\n".join(lines)


def _row(who: str, found: dict[str, Any]) -> str:
    if found.get("auroc") is None:
        return f"| {who} | {found['rows']:,} | – | – | – | – |"
    best = min((b["log_loss"], name) for name, b in found["baselines"].items())
    interval = f"{found['auroc']:.3f} ({found['auroc_low']:.3f} … {found['auroc_high']:.3f})"
    return f"| {who} | {found['rows']:,} | {found['rate']:.3f} | {interval} | {found['log_loss']:.4f} | {best[0]:.4f} ({best[1]}) |"
