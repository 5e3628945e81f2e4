"""A business as it is, without an edit, and gradient boosting: `python -m benchmarks.gym DIR`.

DIR holds the exports of one business (a gym with a shop). `lifecycle init` writes a configuration,
and nobody corrects it. Our churn model and scikit-learn's HistGradientBoostingClassifier (as it
is) learn from the same training rows and labels and score the same evaluation rows. For eligible
customers: AUROC and log loss of both, and ours less theirs with 95 % intervals by customers. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.exports import export_files
from features.audit.feature_table.auroc import auroc_alone, difference
from features.core.settings import Settings, load_settings
from features.tables.history import load_history
from lifecycle.init import interview
from lifecycle.init.questions import parse_answers
from lifecycle.init.write_config import write_page
from training import metrics
from training.job import TrainingRun
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits

SEED = 7
LEAST = 1e-15


def configure(folder: Path, out: Path) -> dict[str, Any]:
    """Write the configuration that init makes of all files; how many files, how many open lines."""
    answers = parse_answers([])
    config = interview.settle_questions(export_files(folder), out, answers)
    write_page(config.page, out)
    report = interview.report(config, answers)
    return {"files": report["files"], "open_lines": len(report["checks"])}


def matrix(rows: pa.Table, names: tuple[str, ...]) -> np.ndarray:
    """The feature columns as float64 (rows, columns), NaN where null."""
    return np.column_stack([rows[name].cast(pa.float64()).to_numpy() for name in names])


def boosted(train: pa.Table, evaluate: pa.Table, names: tuple[str, ...]) -> np.ndarray:
    """p of churn by scikit-learn's boosting, (rows,).

    It refuses a column without any value in training; those are left out.
    """
    names = tuple(name for name in names if train[name].null_count < train.num_rows)
    model = HistGradientBoostingClassifier(random_state=SEED)
    model.fit(matrix(train, names), train["churned"].to_numpy())
    p = model.predict_proba(matrix(evaluate, names))[:, 1]
    return np.asarray(np.clip(p, LEAST, 1 - LEAST))


def measure(settings: Settings) -> dict[str, Any]:
    """Both models on the evaluation rows of eligible customers."""
    history, counts = load_history(settings)
    with reproducible_fits(), remember_fits():
        run = TrainingRun(history, settings)
        ours, _ = run.eval_scorer.score(run.eval_rows)
        theirs = boosted(run.train_rows, run.eval_rows, tuple(run.examples.modelled))
    mine = run.eval_rows["eligible"].to_numpy().astype(bool)
    y = run.eval_rows["churned"].to_numpy().astype(bool)[mine]
    customers = np.array(run.eval_rows["customer_id"].to_pylist())[mine]
    rows = {name: {"read": one.read, "kept": one.kept} for name, one in counts.items()}
    report: dict[str, Any] = {
        "tables": rows,
        "contractual": settings.contractual,
        "horizon_days": settings.churn.horizon_days,
        "features": len(run.examples.modelled),
        "train_rows": run.train_rows.num_rows,
        "eligible_rows": int(mine.sum()),
        "rate": float(y.mean()),
    }
    return report | compare(y, ours[mine], theirs[mine], customers)


def compare(
    y: np.ndarray, ours: np.ndarray, theirs: np.ndarray, customers: np.ndarray
) -> dict[str, Any]:
    """AUROC and log loss of both, and ours less theirs with low and high."""
    _, number = np.unique(customers, return_inverse=True)
    alone = {"ours": auroc_alone(y, ours, number), "boosting": auroc_alone(y, theirs, number)}
    losses = {"ours": metrics.log_losses(y, ours), "boosting": metrics.log_losses(y, theirs)}
    gain, low = difference(alone["ours"], alone["boosting"], number)
    return {
        "auroc": {name: one.value for name, one in alone.items()}
        | {"difference": gain, "low": low, "high": 2 * gain - low},
        "log_loss": {name: float(one.mean()) for name, one in losses.items()}
        | metrics.paired_difference(losses["ours"], losses["boosting"], customers),
    }


def report_text(report: dict[str, Any]) -> str:
    files = report["files"]
    lines = [
        f"init: {files['used']} of {files['given']} files, 0 edits, "
        f"{report['open_lines']} lines to decide left as they are",
        f"{report['eligible_rows']:,} rows of eligible customers, {report['rate']:.1%} left; "
        f"{report['train_rows']:,} training rows, {report['features']} features, "
        f"{report['horizon_days']} days ahead",
    ]
    for name in ("auroc", "log_loss"):
        one = report[name]
        lines.append(
            f"  {name:<9} ours {one['ours']:.4f}, boosting {one['boosting']:.4f}; ours less theirs "
            f"{one['difference']:+.4f} ({one['low']:+.4f} … {one['high']:+.4f})"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, help="the folder with the business's files")
    parser.add_argument("--json", action="store_true", help="print one JSON object and no text")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is no folder")
    with tempfile.TemporaryDirectory(prefix="lifecycle-gym-") as place:
        os.environ["LIFECYCLE_HOME"] = place
        config = Path(place) / "lifecycle.toml"
        report = configure(arguments.folder.resolve(), config)
        report |= measure(load_settings(config))
    if not arguments.json:
        print(report_text(report))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
