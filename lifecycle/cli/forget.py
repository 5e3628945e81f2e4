"""The commands that take things away: customers who are to be forgotten, and old runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifecycle.cli.application import DEFAULT, SERVE, AsJson, Changes, Config, answer, app


@app.command(rich_help_panel=SERVE)
def forget(
    ids: Annotated[
        Path | None, typer.Option("--ids", help="a text file with one id a line, or a CSV file")
    ] = None,
    config: Config = DEFAULT,
    changes: Changes = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="PLACE",
            help="what a command wrote elsewhere: a folder, .csv, .parquet or .duckdb file, or "
            "postgresql://…; may be repeated",
        ),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="the table in a database of --also")
    ] = None,
    as_written: Annotated[
        bool, typer.Option("--as-written", help="take ids such as 17.0 as they are")
    ] = False,
    let_go: Annotated[
        bool, typer.Option("--let-go", help="no longer leave out who is in no table any more")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="count what would be taken out, change nothing")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do it; it cannot be undone")] = False,
    as_json: AsJson = False,
) -> None:
    """Take customers out of runs, campaigns, predictions and the kept history, for good.

    Tables are read without them from then on, until --let-go. Models, backups and your own files
    stay as they are: the receipt says what learned from them, and where they still stand.
    """
    from features.core.errors import BadSetting
    from features.core.setting_changes import read_changes
    from features.core.settings import load_settings
    from lifecycle.commands.forget_text import forget_text, let_go_text
    from serving.forget.forget import forget as forget_customers
    from serving.forget.forget import let_go as let_customers_go
    from serving.forget.id_list import read_id_list

    if dry_run == yes:
        raise BadSetting(
            where="forget",
            got="both --dry-run and --yes" if yes else "neither --dry-run nor --yes",
            rule="What is taken out cannot be put back.",
            fix="Look first: add --dry-run. Then type it with --yes in its place.",
        )
    if (ids is None) != let_go:
        raise BadSetting(
            where="forget",
            got="both --ids and --let-go" if let_go else "no --ids",
            rule="--ids names a file with the ids of those who are to be forgotten; --let-go needs "
            "none.",
            fix="For example: lifecycle forget --ids gone.txt --dry-run",
        )
    settings = load_settings(config, read_changes(changes or ()))
    if ids is None:
        report = let_customers_go(settings, dry_run=dry_run)
        answer(report, let_go_text(report), as_json)
        return
    listed = read_id_list(ids, as_written=as_written)
    receipt = forget_customers(settings, listed, also=also or (), table=table, dry_run=dry_run)
    answer(receipt, forget_text(receipt), as_json)
    if receipt["unreadable"]:
        raise typer.Exit(1)


@app.command(rich_help_panel=SERVE)
def prune(
    config: Config = DEFAULT,
    changes: Changes = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list what would be removed, remove nothing")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove the runs that are older than [retention] runs_days; `score` does so by itself.

    Those stay that LATEST, a campaign, monitor, the comparison of the next run or the page needs.
    """
    from features.core.setting_changes import read_changes
    from features.core.settings import load_settings
    from lifecycle.commands.prune_text import prune_text
    from serving.batch.retention import prune_runs

    pruned = prune_runs(load_settings(config, read_changes(changes or ())), dry_run=dry_run)
    answer(pruned.report(), prune_text(pruned), as_json)
