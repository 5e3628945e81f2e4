"""`lifecycle demo`: a simulated business, the main job on it, and the truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core import settings
from features.core.errors import BadSetting, StoreFailed
from features.core.instants import instant
from features.core.progress import say
from features.core.settings import home
from lifecycle import simulation
from lifecycle.commands import run
from training import metrics

FEWEST = 50


def demo(into: Path, *, customers: int, mode: str) -> run.Finished:
    """Simulate into `into`, run the main job there, and add how much of the truth was found."""
    if customers < FEWEST:
        raise BadSetting(
            where="--customers",
            got=f"{customers} customers",
            rule=f"A business worth simulating has {FEWEST}.",
            fix="Take more.",
            values=[customers],
        )
    say("simulating")
    try:
        simulation.write(simulation.simulate(customers=customers, mode=mode), folder=into)
    except OSError as error:
        raise StoreFailed(
            where="--into",
            got=error.strerror or "a write that failed",
            rule="The folder must be writable.",
            fix="Name another folder.",
        ) from error
    config = into / "lifecycle.toml"
    done = run.run(config)
    found = _beside_truth(done, settings.load(config), into)
    told = f"{done.text}\n\n{_text(found)}\n\n{_next(config)}"
    return run.Finished({**done.value, "truth": found}, told, done.run)


def _beside_truth(
    done: run.Finished, stated: settings.Settings, into: Path
) -> dict[str, Any] | None:
    """AUROC and log loss of the true leave probability on the hold-out rows of eligible customers, and our share."""
    folder = home() / "mlruns" / "holdout"
    names = [name for name in (done.value["mlflow_runs"] or {}).values() if name] or [
        done.value["trained"]
    ]
    path = folder / names[0] / "predictions.parquet"
    if not path.is_file():
        return None
    rows, truth = pq.read_table(path), pq.read_table(into / "truth" / "truth.parquet")
    at = {day: instant(day, zone=stated.zone) for day in set(truth["as_of"].to_pylist())}
    truth = truth.set_column(
        1, "as_of", pa.array([at[day] for day in truth["as_of"].to_pylist()], pa.int64())
    )
    both = rows.join(
        truth.select(["customer_id", "as_of", "p_leave"]),
        ["customer_id", "as_of"],
        join_type="inner",
    )
    both = both.filter(both["eligible"])
    y, p, ours = (both[name].to_numpy() for name in ("churned", "p_leave", "p_churn"))
    if not len(y) or y.all() or not y.any():
        return None
    best, mine = metrics.auroc(y, p)[0], metrics.auroc(y, ours)[0]
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    return {
        "rows": len(y),
        "auroc_truth": best,
        "auroc_ours": mine,
        "share_of_gain": (mine - 0.5) / (best - 0.5),
        "log_loss_truth": float(metrics.losses(y, inside).mean()),
        "log_loss_ours": float(metrics.losses(y, ours).mean()),
    }


def _text(found: dict[str, Any] | None) -> str:
    if found is None:
        return "  the truth: no common date to compare on"
    return (
        f"  beside the truth ({found['rows']:,} eligible customers)          AUROC   log loss\n"
        f"    the true leave probability{'':18}{found['auroc_truth']:>7.4f}{found['log_loss_truth']:>10.4f}\n"
        f"    our model{'':35}{found['auroc_ours']:>7.4f}{found['log_loss_ours']:>10.4f}"
        f"   {found['share_of_gain']:.0%} of the truth's gain over chance"
    )


def _next(config: Path) -> str:
    return (
        "  what to type next\n"
        f"    lifecycle check -c {config}            what the data hold\n"
        f"    lifecycle features -c {config} --as-of 2024-06-01 --out rows.csv\n"
        "    lifecycle init your-own-files.csv        your own data"
    )
