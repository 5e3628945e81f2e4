"""Commands that train, compare and promote models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from features.core.language import join_words
from lifecycle.cli.application import (
    DEFAULT,
    TRAIN,
    AsJson,
    AsOf,
    Changes,
    Config,
    NoReport,
    Out,
    RunName,
    RunTags,
    Verbose,
    answer,
    app,
    left_out_lines,
    open_business,
    rows_left_out,
)


@app.command(rich_help_panel=TRAIN)
def run(
    config: Config = DEFAULT,
    changes: Changes = None,
    as_of: AsOf = None,
    name: RunName = None,
    tags: RunTags = None,
    no_report: NoReport = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Run the main job: check → train → promote → score → report."""
    from features.core.setting_changes import read_changes
    from lifecycle.commands.run import run as run_main_job
    from training.tracking.run_labels import read_labels

    finished = run_main_job(
        config,
        changes=read_changes(changes or ()),
        as_of=as_of,
        verbose=verbose,
        labels=read_labels(name, tags),
        page=not no_report,
    )
    answer(finished.value, finished.text, as_json)


@app.command(rich_help_panel=TRAIN)
def examples(
    out: Out, config: Config = DEFAULT, changes: Changes = None, as_json: AsJson = False
) -> None:
    """Write features, labels, as_of and split of every training and evaluation date."""
    from features.core.language import say
    from features.recipes.stages import STATE_COLUMNS
    from serving.batch.writers import write_table
    from training.examples import make_examples
    from training.plan import make_plan

    settings, history, _ = open_business(config, changes)
    table = make_examples(history, settings, make_plan(history, settings))
    rows, features = table.rows.num_rows, len(table.names)
    write_table(table.rows, out)
    columns = {*STATE_COLUMNS, *table.names, "split"}
    labels = [name for name in table.rows.column_names if name not in columns]
    value = {
        "rows": rows,
        "features": features,
        "labels": labels,
        "late_activity": table.late_activity,
        "out": str(out),
    }
    lines = [
        say("{rows:,} rows, {features} features → {out}", rows=rows, features=features, out=out),
        say("  what came later, and no model may read: {columns}", columns=join_words(labels)),
    ]
    answer(value, "\n".join(lines), as_json)


@app.command(rich_help_panel=TRAIN)
def train(
    job: Annotated[str | None, typer.Argument(help="churn or next-stage; both if left out")] = None,
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="the release of that day: later rows do not exist for it"),
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="also refit on fewer customers and dates")
    ] = False,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="also refit without each family of features")
    ] = False,
    name: RunName = None,
    tags: RunTags = None,
) -> None:
    """Train both models, evaluate them beside the baselines, write a release (not served yet)."""
    from features.core.instants import instant
    from training import job as jobs
    from training import past as pasts
    from training.reports.release_text import cut_searches, release_text
    from training.tracking.run_labels import read_labels

    jobs.refuse_unknown_model(job)
    labels = read_labels(name, tags)
    settings, history, _ = open_business(config, changes)
    at = None if as_of is None else instant(as_of, zone=settings.zone)
    history, settings, past = pasts.what_to_train_on(history, settings, at, only=job)
    trained = jobs.train(
        history,
        settings,
        only=job,
        learning_curve=learning_curve,
        with_ablation=ablation,
        past=past,
        labels=labels,
    )
    value = {
        "release": trained.folder.name,
        "status": trained.status,
        "mlflow_runs": trained.runs,
        "evaluation": trained.evaluation,
        "warnings": cut_searches(trained.evaluation),
        "rows_left_out": rows_left_out(history),
    }
    text = release_text(trained.folder.name, trained.status, trained.evaluation, trained.runs)
    answer(value, "\n".join([text, *left_out_lines(history)]), as_json)


@app.command(rich_help_panel=TRAIN)
def backtest(
    config: Config = DEFAULT,
    changes: Changes = None,
    as_of: Annotated[
        list[str] | None, typer.Option("--as-of", help="repeat; default: rolling dates")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="write the predictions of all dates here")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train and predict at earlier dates as if each were today, and compare with what happened."""
    from features.core.instants import instant
    from training.backtest.backtest import backtest as run_backtest

    settings, history, _ = open_business(config, changes)
    instants = [instant(at, zone=settings.zone) for at in as_of or ()]
    finished = run_backtest(history, settings, as_of=instants, out=out)
    answer(finished.report | {"folder": str(finished.folder)}, finished.text, as_json)


@app.command(rich_help_panel=TRAIN)
def judge(
    predictions: Annotated[
        Path,
        typer.Option(help=".csv or .parquet of customer_id, as_of, and p or p_next_<stage>"),
    ],
    config: Config = DEFAULT,
    changes: Changes = None,
    name: RunName = None,
    tags: RunTags = None,
    as_json: AsJson = False,
) -> None:
    """Judge anybody's predictions on your labels, beside the same baselines as our models."""
    from training.judge import judge as judge_predictions
    from training.predictions_file import read_predictions
    from training.tracking.run_labels import read_labels

    labels = read_labels(name, tags)
    settings, history, _ = open_business(config, changes)
    judged = judge_predictions(
        history, settings, read_predictions(predictions, settings), labels=labels
    )
    answer(judged.report | {"run": judged.run}, judged.text, as_json)


@app.command(rich_help_panel=TRAIN)
def compare(
    sets: Annotated[
        list[str],
        typer.Argument(help="files of predictions, or ids of releases or runs trained here"),
    ],
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Compare predictions with the first of them on the rows that all predict."""
    from training.compare import compare as compare_sets
    from training.compare import read_set
    from training.reports.compared_text import compared_text

    settings, history, _ = open_business(config, changes)
    report = compare_sets(history, settings, [read_set(each, settings) for each in sets])
    answer(report, compared_text(report), as_json)


@app.command(rich_help_panel=TRAIN)
def backfill(
    start: Annotated[str, typer.Option("--from", help="the first date")],
    end: Annotated[str, typer.Option("--to", help="the last date")],
    config: Config = DEFAULT,
    changes: Changes = None,
    every: Annotated[str, typer.Option(help="day, week, month, quarter or year")] = "month",
    retrain: Annotated[
        str | None, typer.Option(help="a new release every so often; at each date if left out")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write honest past runs: each date is scored by a release that knew nothing later."""
    from features.core.instants import day_text, instant
    from training import backfill as backfills

    settings, history, _ = open_business(config, changes)
    first, last = (instant(day, zone=settings.zone) for day in (start, end))
    runs = backfills.backfill(
        history, settings, start=first, end=last, every=every, retrain=retrain
    )
    value = {
        "runs": [
            {
                "as_of": day_text(each.as_of, zone=settings.zone),
                "release": each.release,
                "why": each.why,
                **({"run": each.run.id, "rows": each.run.rows} if each.run else {}),
                "folder": str(each.run.folder) if each.run else None,
            }
            for each in runs
        ]
    }
    answer(value, backfills.report_text(runs, zone=settings.zone), as_json)


@app.command(rich_help_panel=TRAIN)
def promote(
    release: Annotated[
        str | None, typer.Argument(help="the release id; the newest if left out")
    ] = None,
    force: Annotated[
        str | None, typer.Option(help="serve it all the same: the reason, which is recorded")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a release and serve it; refused without skill, or if worse than what is served."""
    from serving.scoring.lean_xgboost import import_xgboost_alone
    from training import promotion_log
    from training.promote import promote as promote_release
    from training.reports import summary

    import_xgboost_alone()
    served = promote_release(release, force=force)
    status, evaluation = served.scorer.status, served.evaluation
    promotion = promotion_log.find_promotion(served.id)
    value = {
        "release": served.id,
        "status": status,
        "recommendation": evaluation.get("recommendation"),
        "gate": evaluation.get("gate"),
        "promotion": promotion,
    }
    answer(value, summary.promotion_text(served.id, status, evaluation, promotion), as_json)


@app.command(rich_help_panel=TRAIN)
def rollback(
    reason: Annotated[str | None, typer.Option(help="why, for the promotion log")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the release again that was served before; a second rollback goes one further back."""
    from features.core.language import say
    from serving.scoring.lean_xgboost import import_xgboost_alone
    from training import promotion_log
    from training import rollback as rollbacks

    import_xgboost_alone()
    result = rollbacks.rollback(reason=reason)
    name, status = result.release.id, result.release.scorer.status
    value = {
        "release": name,
        "status": status,
        "rolled_back": result.left,
        "next": result.next,
        "promotion": promotion_log.find_promotion(name),
    }
    further = say("a further rollback would find no release before it")
    if result.next:
        further = say("a further rollback would serve {name}", name=result.next)
    lines = [
        say("serving release {name} ({status})", name=name, status=status),
        say("instead of {name}; lifecycle promote {name} serves that one again", name=result.left),
        further,
    ]
    answer(value, "\n  ".join(lines), as_json)


@app.command(rich_help_panel=TRAIN)
def runs(
    limit: Annotated[int, typer.Option(min=1, help="how many, newest first")] = 20,
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", help="of this business alone; of all if left out"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs in MLflow: figures, verdict, what differs from the champion's configuration."""
    from features.core.settings import load_settings
    from training.tracking import tracking

    business = None if config is None else load_settings(config).business.name
    rows = tracking.list_runs(limit=limit, business=business)
    answer({"runs": rows}, tracking.runs_text(rows), as_json)


@app.command(rich_help_panel=TRAIN)
def ui(
    port: Annotated[int, typer.Option(help="the port to listen on")] = 5000,
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", help="whose runs to show; if left out, the newest run's"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve MLflow's pages for this machine alone, and print where the runs are once it answers."""
    from features.core.settings import load_settings
    from training.tracking import tracking

    # A home has mostly one business; its configuration is not needed to find it then.
    path = config or (DEFAULT if DEFAULT.is_file() else None)
    business = None if path is None else load_settings(path).business.name
    sys.exit(
        tracking.serve_ui(
            port=port,
            business=business,
            announce=lambda url: answer({"url": url}, _ui_text(url), as_json),
        )
    )


def _ui_text(url: str) -> str:
    from features.core.language import say

    if "/experiments/" in url:
        return say("MLflow at {url} (Ctrl-C ends it)", url=url)
    return say("MLflow at {url}; no training is recorded here yet (Ctrl-C ends it)", url=url)
