"""Commands that score customers and answer requests."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from lifecycle.cli.application import (
    DEFAULT,
    SERVE,
    AsJson,
    AsOf,
    Changes,
    Config,
    answer,
    app,
    left_out_lines,
    open_business,
    rows_left_out,
)


@app.command(rich_help_panel=SERVE)
def score(
    config: Config = DEFAULT,
    changes: Changes = None,
    as_of: AsOf = None,
    in_sample: Annotated[
        bool,
        typer.Option("--in-sample", help="score what the release has learned from, and mark it"),
    ] = False,
    accept_shift: Annotated[
        str | None,
        typer.Option("--accept-shift", help="publish a run that moved far: the reason, recorded"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="also write the scores: a .csv, .parquet, .duckdb, postgresql://…"
        ),
    ] = None,
    table: Annotated[
        str, typer.Option("--table", help="the table in a database")
    ] = "lifecycle_scores",
    as_json: AsJson = False,
) -> None:
    """Score everybody at one instant with what is served (default: the last local midnight).

    Where the data end less than max_staleness_days before it, the midnight right after the data;
    older data are refused.
    """
    from features.core.instants import day_text, instant, last_midnight
    from features.core.language import number, say
    from features.core.progress import print_status
    from features.tables.history import newest_as_of
    from lifecycle.commands.prune_text import prune_text
    from serving.batch import run_folders
    from serving.batch.destinations.send import parse_destination
    from serving.batch.retention import prune_runs
    from serving.release import release
    from serving.release.sandbox import load_in_subprocess
    from serving.scoring.lean_xgboost import import_xgboost_alone

    destination = None if to is None else parse_destination(to, table)
    settings, history, _ = open_business(config, changes, in_shares=True)
    run_folders.refuse_archetype(settings)
    at = instant(as_of, zone=settings.zone) if as_of else newest_as_of(history, settings)
    if not as_of and at < last_midnight(settings.zone):
        day = day_text(at, zone=settings.zone)
        print_status(say("the data end before today: scores are as of {day}", day=day))
    import_xgboost_alone()
    run = run_folders.score_batch(
        history,
        settings,
        load_in_subprocess(release.current_release_folder()),
        as_of=at,
        in_sample=in_sample,
        accept_shift=accept_shift,
    )
    text = say("{customers:,} customers", customers=run.rows)
    if run.cancelled:
        text += say(
            ", of them {customers:,} with cover who have cancelled", customers=run.cancelled
        )
    text += f" → {run.folder}"
    if not run.fresh:
        text += say(" (already there)")
    sent = None if destination is None else destination.send(run.folder)
    if sent is not None:
        text += "\n" + say(
            "{n} rows written to {kind}, in place of {m} of the same day",
            n=number(sent.rows),
            kind=sent.kind,
            m=number(sent.replaced),
        )
    pruned = None if settings.retention.runs_days is None else prune_runs(settings)
    if pruned is not None and pruned.removed:
        text += "\n" + prune_text(pruned)
    silent = run_folders.silent_tables(run.folder)
    value = _run(run) | {"rows_left_out": rows_left_out(history), "scored_without": silent}
    value["sent"] = None if sent is None else vars(sent)
    value["pruned"] = None if pruned is None else pruned.report()
    warnings = [say("warning: {text}", text=sentence) for sentence in run.warnings]
    warnings += [
        say(
            "warning: {customers:,} customers are scored without {table}, which had fallen silent "
            "(lifecycle check says since when)",
            customers=count,
            table=table,
        )
        for table, count in sorted(silent.items())
    ]
    answer(value, "\n".join([text, *warnings, *left_out_lines(history)]), as_json)


def _run(run: Any) -> dict[str, Any]:
    return {
        "run": run.id,
        "rows": run.rows,
        "cancelled": run.cancelled,
        "fresh": run.fresh,
        "warnings": list(run.warnings),
        "folder": str(run.folder),
    }


@app.command(rich_help_panel=SERVE)
def serve(
    port: Annotated[int, typer.Option(help="the port to listen on")] = 3000,
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Answer over HTTP; make an API key if there is none, and print a curl line that works."""
    from features.core.language import say
    from serving.api import serve as served

    def announce(ready: Any) -> None:
        once = say("  set LIFECYCLE_KEY to a key of this service, then")
        if ready.key:
            once = say("  the key is shown this once: {key}", key=ready.key)
        value = {"url": ready.url, "key": ready.key, "curl": ready.curl}
        lines = [say("answering at {url}", url=ready.url), once]
        answer(value, "\n".join([*lines, say("  try: {curl}", curl=ready.curl)]), as_json)

    sys.exit(served.serve(host=host, port=port, on_ready=announce))


@app.command(rich_help_panel=SERVE)
def doctor(as_json: AsJson = False) -> None:
    """Check versions, folders, release, scores, keys and tracking; print a fix for each fault."""
    import importlib.util

    from serving.doctor import examine as doctors
    from serving.scoring.lean_xgboost import import_xgboost_alone

    import_xgboost_alone()
    findings = doctors.examine()
    if importlib.util.find_spec("mlflow"):
        from training import doctor as of_training

        findings += of_training.examine()
    value = {"findings": [vars(finding) for finding in findings]}
    answer(value, doctors.findings_text(findings), as_json)
    if any(finding.state == "failed" for finding in findings):
        sys.exit(1)
