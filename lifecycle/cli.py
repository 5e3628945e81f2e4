"""The door: one command line. Thin; everything heavy is imported inside the commands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Where each customer stands, who will leave, which stage comes next, and why: as of any instant.",
)

Config = Annotated[Path, typer.Option("-c", "--config", help="the lifecycle.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="YYYY-MM-DD (local midnight) or an RFC 3339 instant")
]
Out = Annotated[Path, typer.Option("--out", help="the file to write: .parquet or .csv")]
DEFAULT = Path("lifecycle.toml")


def _open(config: Path) -> tuple[Any, Any, Any]:
    from features.core import settings
    from features.tables import history

    stated = settings.load(config)
    found, counts = history.load(stated)
    return stated, found, counts


def _tell(value: dict[str, Any], text: str, as_json: bool) -> None:
    print(
        json.dumps(value, ensure_ascii=False, default=str, sort_keys=True) if as_json else text,
        flush=True,
    )


@app.command()
def check(
    config: Config = DEFAULT,
    rejects: Annotated[Path | None, typer.Option(help="write the rejected rows here")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the data and account for every row; print the span, the stages in days, what missing tables cost."""
    from lifecycle.commands import check as checks

    settings, history, counts = _open(config)
    found = checks.account(history, counts, settings)
    if rejects:
        from serving.batch.writers import write

        write(history.connection.table("rejects").to_arrow_table(), rejects)
    _tell(found, checks.text(found), as_json)


@app.command()
def features(
    out: Out,
    as_of: Annotated[
        list[str] | None, typer.Option("--as-of", help="repeat for several dates")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help=".csv or .parquet of customer_id and as_of, one a row")
    ] = None,
    config: Config = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write feature rows: of everybody at one or several instants, or of customers at instants of their own (--pairs)."""
    from features.core.errors import BadSetting
    from features.core.instants import instant
    from features.engine import many_dates, pairs_file
    from serving.batch.writers import write

    if bool(as_of) == bool(pairs):
        raise BadSetting(
            where="features",
            got="both or neither of --as-of and --pairs",
            rule="It is asked for everybody at some instants, or for pairs.",
            fix="Name one of the two.",
        )
    settings, history, _ = _open(config)
    told: dict[str, Any] = {}
    if pairs:
        found, told["bases"] = pairs_file.rows_for(
            history, settings, pairs_file.read(pairs, settings)
        )
        rows = found.rows
        told |= {
            name: getattr(found, name)
            for name in ("asked", "repeated", "unknown", "without_activity")
        }
    else:
        rows = many_dates.rows_of(
            history, settings, as_of=sorted({instant(at, zone=settings.zone) for at in as_of or ()})
        )
    write(rows, out)
    told |= {"rows": rows.num_rows, "columns": rows.num_columns, "out": str(out)}
    counts = "".join(
        f"\n  {name.replace('_', ' ')}: {value:,}"
        for name, value in told.items()
        if isinstance(value, int)
    )
    _tell(told, f"{out}{counts}", as_json)


@app.command()
def audit(
    config: Config = DEFAULT,
    dates: Annotated[int, typer.Option(min=1, max=100)] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    as_json: AsJson = False,
) -> None:
    """Try every promise about time on your own tables, for every feature, and look for leaks; exit 1 on any."""
    from features import audit as audits

    settings, history, _ = _open(config)
    found = audits.audit(history, settings, dates=dates, seed=seed)
    _tell(found, audits.text(found), as_json)
    if not found["passed"]:
        sys.exit(1)


@app.command("why-value")
def why_value(
    customer: Annotated[str, typer.Option(help="the customer's id")],
    as_of: Annotated[
        str, typer.Option("--as-of", help="YYYY-MM-DD (local midnight) or an RFC 3339 instant")
    ],
    feature: Annotated[str, typer.Option(help="a column of the feature table")],
    config: Config = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the rows behind one feature value of one customer."""
    from features.core.instants import instant
    from features.engine.explain import text, why

    settings, history, _ = _open(config)
    found = why(
        history,
        settings,
        customer=customer,
        as_of=instant(as_of, zone=settings.zone),
        column=feature,
    )
    _tell(found, text(found), as_json)


@app.command()
def stages(out: Out, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Write the stage history: every customer's stage and rule at each month's step of the data."""
    from serving.batch.writers import write
    from training.stage_history import stage_history

    settings, history, _ = _open(config)
    rows = stage_history(history, settings)
    write(rows, out)
    _tell({"rows": rows.num_rows, "out": str(out)}, f"{rows.num_rows:,} rows → {out}", as_json)


@app.command()
def examples(out: Out, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Write features, labels, as_of and split of every training and evaluation date."""
    from serving.batch.writers import write
    from training import examples as made_by
    from training import plan

    settings, history, _ = _open(config)
    made = made_by.make_examples(history, settings, plan.make_plan(history, settings))
    write(made.rows, out)
    _tell(
        {
            "rows": made.rows.num_rows,
            "features": len(made.names),
            "late_activity": made.late,
            "out": str(out),
        },
        f"{made.rows.num_rows:,} rows, {len(made.names)} features → {out}",
        as_json,
    )


@app.command()
def train(
    job: Annotated[str | None, typer.Argument(help="churn or next-stage; both if left out")] = None,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="also refit on fewer customers and dates")
    ] = False,
) -> None:
    """Train, evaluate beside the baselines, write a release (not yet served)."""
    from features.core.errors import BadSetting
    from training import job as jobs
    from training.reports import summary

    if job is not None and job not in jobs.JOBS:
        raise BadSetting(
            where="train",
            got="an unknown model",
            rule=f"It is {' or '.join(jobs.JOBS)}.",
            fix="Leave it out for both.",
            values=[job],
        )
    settings, history, _ = _open(config)
    made = jobs.train(history, settings, only=job, learning_curve=learning_curve)
    value = {
        "release": made.folder.name,
        "status": made.status,
        "mlflow_runs": made.runs,
        "evaluation": made.evaluation,
    }
    _tell(
        value, summary.released(made.folder.name, made.status, made.evaluation, made.runs), as_json
    )


@app.command()
def backtest(
    config: Config = DEFAULT,
    as_of: Annotated[
        list[str] | None, typer.Option("--as-of", help="repeat; default: rolling dates")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="write the predictions of all dates here")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk rolling dates as if each were today, and hold what was said then against what came."""
    from features.core.instants import instant
    from training.backtest import backtest as walked

    settings, history, _ = _open(config)
    made = walked.backtest(
        history, settings, as_of=[instant(at, zone=settings.zone) for at in as_of or ()], out=out
    )
    _tell(made.account | {"folder": str(made.folder)}, made.text, as_json)


@app.command()
def promote(
    release: Annotated[
        str | None, typer.Argument(help="the release id; the newest if left out")
    ] = None,
    force: Annotated[
        str | None, typer.Option(help="serve it whatever speaks against it: the reason, recorded")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a release and serve it from now on; refused without skill, or where it is worse than what is served."""
    from training import promotion_log
    from training.promote import promote as move
    from training.reports import summary

    found = move(release, force=force)
    value = {
        "release": found.id,
        "status": found.scorer.status,
        "recommendation": found.evaluation.get("recommendation"),
        "gate": found.evaluation.get("gate"),
        "promotion": promotion_log.of(found.id),
    }
    _tell(value, summary.promoted(found.id, found.scorer.status, found.evaluation), as_json)


@app.command()
def score(config: Config = DEFAULT, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Score everybody at one instant (default: the last local midnight) with the promoted release."""
    from features.core.instants import instant, last_midnight
    from serving.batch import run_folders
    from serving.release import release
    from serving.release.sandbox import load_in_subprocess

    settings, history, _ = _open(config)
    run_folders.refuse_archetype(settings)
    at = instant(as_of, zone=settings.zone) if as_of else last_midnight(settings.zone)
    run = run_folders.score(history, settings, load_in_subprocess(release.current()), as_of=at)
    _tell(
        _run(run),
        f"{run.rows:,} customers → {run.folder}{'' if run.fresh else ' (already there)'}",
        as_json,
    )


def _run(run: Any) -> dict[str, Any]:
    return {"run": run.id, "rows": run.rows, "fresh": run.fresh, "folder": str(run.folder)}


@app.command()
def run(config: Config = DEFAULT, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """The main job: check → train → promote → score."""
    from lifecycle.commands import run as main_job

    found = main_job.run(config, as_of=as_of)
    _tell(found.value, found.text, as_json)


@app.command()
def demo(
    into: Annotated[Path, typer.Option(help="the folder for everything")] = Path("demo"),
    customers: int = 3000,
    subscription: Annotated[bool, typer.Option("--subscription")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a small business, run the main job on it, and compare with the truth."""
    from lifecycle.commands import demo as shown

    found = shown.demo(into, customers=customers, mode="subscription" if subscription else "retail")
    _tell(found.value, found.text, as_json)


@app.command()
def runs(
    limit: Annotated[int, typer.Option(min=1, help="how many, newest first")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the training runs that MLflow holds, each with its figure and its verdict."""
    from training.tracking import tracking

    found = tracking.runs(limit=limit)
    _tell({"runs": found}, tracking.text(found), as_json)


@app.command()
def ui(port: int = 5000, as_json: AsJson = False) -> None:
    """Open MLflow's pages on this machine alone."""
    from training.tracking import tracking

    sys.exit(
        tracking.ui(
            port=port,
            tell=lambda url: _tell({"url": url}, f"MLflow at {url} (Ctrl-C ends it)", as_json),
        )
    )


@app.command()
def serve(port: int = 3000, host: str = "127.0.0.1", as_json: AsJson = False) -> None:
    """Answer over HTTP; makes an API key if there is none, and prints a curl line that works."""
    from serving.api import serve as served

    def tell(ready: Any) -> None:
        once = f"\n  the key is shown this once: {ready.key}" if ready.key else ""
        value = {"url": ready.url, "key": ready.key, "curl": ready.curl}
        _tell(value, f"answering at {ready.url}{once}\n  try: {ready.curl}", as_json)

    sys.exit(served.serve(host=host, port=port, tell=tell))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at versions, folders, release, scores, keys and the tracking store; each finding with its fix."""
    import importlib.util

    from serving.doctor import examine as doctors

    found = doctors.examine()
    if importlib.util.find_spec("mlflow"):
        from training import doctor as of_training

        found += of_training.examine()
    _tell({"findings": [vars(one) for one in found]}, doctors.text(found), as_json)
    if any(one.state == "failed" for one in found):
        sys.exit(1)


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(help="your CSV or parquet files")],
    out: Annotated[Path, typer.Option("--out")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write a commented lifecycle.toml for your files, each guess with its reason."""
    from lifecycle import init as guess

    found = guess.write(files, out)
    lines = [f"  {row['what']}: {row['guess']} ({row['reason']})" for row in found]
    told = "\n".join(
        [*lines, "", f"wrote {out}; read it, mend what says CHECK, then: lifecycle check -c {out}"]
    )
    _tell({"config": str(out), "guesses": found}, told, as_json)


def main() -> None:
    """Run the command line; every refusal has its exit code, and no traceback reaches a user."""
    from lifecycle.exit_codes import guarded

    # Spinning threads starve each other on small machines: docs/decisions/002.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    guarded(app)


if __name__ == "__main__":
    main()
