"""Runs in AutoGluon's environment: `python automl_side.py FOLDER`; prints one JSON object last.

Forward in time: fitted on all training dates except the newest, in bags that keep a customer
together; the newest date is tuning data (weights of the ensemble, calibration). With a single date
it is bagged by customer and nothing is held out.

One thread for each model, one bag after the other: on two shared cores a LightGBM bag took 4 s so,
7 s in ray's processes, and 22 s with two threads.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas
from autogluon.tabular import TabularPredictor, __version__


def main(folder: Path) -> None:
    request = json.loads((folder / "request.json").read_text())
    early, late = (
        pandas.read_parquet(folder / "early.parquet"),
        pandas.read_parquet(folder / "late.parquet"),
    )
    columns = [f"x{number}" for number in range(request["columns"])]
    newest = (early["as_of"] == early["as_of"].max()).to_numpy()
    forward = not newest.all() and early["churned"][~newest].nunique() == 2
    fit = early[~newest] if forward else early
    tuning = (
        {"tuning_data": early.loc[newest, [*columns, "churned"]], "use_bag_holdout": True}
        if forward
        else {}
    )
    predictor = TabularPredictor(
        label="churned",
        eval_metric="log_loss",
        groups="bag",
        path=str(folder / "models"),
        verbosity=2,
    )
    began = time.monotonic()
    predictor.fit(
        fit[[*columns, "churned", "bag"]],
        presets=request["preset"],
        time_limit=request["seconds"],
        ag_args_fit={"num_cpus": 1},
        ag_args_ensemble={"fold_fitting_strategy": "sequential_local"},
        **tuning,
    )
    took = time.monotonic() - began
    p = _p_churned(predictor, late[columns])
    left_out = np.full(len(early), np.nan)
    if forward:  # an ensemble weighted on held-out rows predicts those alone
        left_out[newest] = _p_churned(predictor, early.loc[newest, columns])
    else:
        left_out[:] = _clip(predictor.predict_proba_oof()[1].to_numpy())
    np.savez(folder / "answer.npz", p=p, left_out=left_out)
    board = predictor.leaderboard(silent=True)
    details = {
        "seconds": took,
        "version": __version__,
        "forward": bool(forward),
        "best": predictor.model_best,
        "models": len(board),
        "validated": float(board["score_val"].max()),
    }
    print(json.dumps(details))


def _p_churned(predictor: TabularPredictor, rows: pandas.DataFrame) -> np.ndarray:
    return _clip(predictor.predict_proba(rows)[1].to_numpy())


def _clip(p: np.ndarray) -> np.ndarray:
    """Clipped, because the log loss of one row at 0 or 1 could be infinite."""
    return np.clip(p.astype(np.float64), 1e-6, 1 - 1e-6)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
