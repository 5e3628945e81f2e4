"""`lifecycle demo`: simulate a business, run the main job on it, compare with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import BadSetting, StoreFailed
from features.core.instants import instant
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings, home, load_settings
from lifecycle import simulation
from lifecycle.commands import answer
from lifecycle.commands.run import RunResult, run
from training import metrics

MIN_CUSTOMERS = 50
# The log loss of a true probability of exactly 0 or 1 would be infinite for one surprise.
MIN_P = 1e-6


def demo(
    into: Path,
    *,
    customers: int,
    mode: str,
    verbose: bool = False,
    page: bool = True,
    actions: bool = False,
) -> RunResult:
    """Simulate a business into the folder `into`, run the main job there, compare with the truth.

    `mode`: retail or subscription. `actions`: with a campaign. `verbose` adds the tables to the
    text, `page` draws the page.
    The data of the result have the key `truth`: None where no evaluated row has a true probability.
    """
    if customers < MIN_CUSTOMERS:
        raise BadSetting(
            where="--customers",
            got=f"{customers} customers",
            rule=f"A simulated business has at least {MIN_CUSTOMERS} customers.",
            fix=f"Type --customers {MIN_CUSTOMERS} or more.",
            values=[customers],
        )
    if actions and mode != "retail":
        raise BadSetting(
            where="--actions",
            got="--subscription beside it",
            rule="A campaign is simulated for the shop alone.",
            fix="Leave --subscription out.",
        )
    print_status(say("simulating {customers:,} customers", customers=customers))
    _simulate(into, customers=customers, mode=mode, actions=actions)
    config = into / "lifecycle.toml"
    result = run(config, simulated=True, page=page)
    truth = _compare_with_truth(result, load_settings(config), into)
    text = answer.answer_text(result.value, result.batch.folder, config=config, truth=truth)
    if verbose:
        text = f"{text}\n\n{answer.tables_text(result.value, truth)}"
    return RunResult({**result.value, "truth": truth}, text, result.batch)


def _simulate(into: Path, *, customers: int, mode: str, actions: bool) -> None:
    business = simulation.simulate(customers=customers, mode=mode, actions=actions)
    try:
        simulation.write(business, folder=into)
    except OSError as error:
        raise StoreFailed(
            where="--into",
            got=error.strerror or "a write that failed",
            rule="The folder must be writable.",
            fix="Name another folder: lifecycle demo --into FOLDER.",
        ) from error


def _compare_with_truth(result: RunResult, settings: Settings, into: Path) -> dict[str, Any] | None:
    """AUROC and log loss of the true probability to leave and of ours, on eligible evaluation rows.

    `share_of_gain`: (our AUROC − ½) ÷ (true AUROC − ½). None where there are no rows, or all have
    one outcome.
    """
    path = _holdout_file(result)
    if not path.is_file():
        return None
    rows = _with_true_probabilities(pq.read_table(path), settings, into)
    rows = rows.filter(rows["eligible"])
    y, true_p, p = (rows[name].to_numpy() for name in ("churned", "p_leave", "p_churn"))
    if not len(y) or y.all() or not y.any():
        return None
    best, ours = metrics.auroc(y, true_p)[0], metrics.auroc(y, p)[0]
    return {
        "rows": len(y),
        "auroc_truth": best,
        "auroc_ours": ours,
        "share_of_gain": (ours - 0.5) / (best - 0.5),
        "log_loss_truth": float(metrics.log_losses(y, np.clip(true_p, MIN_P, 1 - MIN_P)).mean()),
        "log_loss_ours": float(metrics.log_losses(y, p).mean()),
    }


def _holdout_file(result: RunResult) -> Path:
    """The hold-out predictions of the first MLflow run, or of the release where there is no run."""
    runs = [run_id for run_id in (result.value["mlflow_runs"] or {}).values() if run_id]
    name = runs[0] if runs else result.value["trained"]
    return home() / "mlruns" / "holdout" / name / "predictions.parquet"


def _with_true_probabilities(rows: pa.Table, settings: Settings, into: Path) -> pa.Table:
    """The rows that have a true probability, with it as `p_leave`."""
    truth = pq.read_table(into / "truth" / "truth.parquet")
    days = truth["as_of"].to_pylist()
    at = {day: instant(day, zone=settings.zone) for day in set(days)}
    instants = pa.array([at[day] for day in days], pa.int64())
    keys = ["customer_id", "as_of"]
    truth = truth.set_column(truth.column_names.index("as_of"), "as_of", instants)
    return rows.join(truth.select([*keys, "p_leave"]), keys, join_type="inner")
