"""The command that looks after a served model: has anything moved, did the scores come true."""

from __future__ import annotations

from typing import Annotated

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
    open_business,
)


@app.command(rich_help_panel=SERVE)
def monitor(
    config: Config = DEFAULT,
    as_of: AsOf = None,
    changes: Changes = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="end with 1 where something moved")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what moved since the training beyond chance, and whether earlier scores came true.

    The newest run (or that of --as-of) beside the training dates; every run whose outcomes are
    complete is judged once. Call it after `score`.
    """
    from features.core.instants import instant, last_midnight
    from training.monitor.monitor import monitor as monitor_run
    from training.monitor.text import monitor_text

    settings, history, _ = open_business(config, changes)
    zone = settings.zone
    at = None if as_of is None else instant(as_of, zone=zone)
    monitored = monitor_run(history, settings, today=last_midnight(zone), as_of=at)
    answer(monitored.value, monitor_text(monitored.value), as_json)
    if strict and monitored.has_moved:
        raise typer.Exit(1)
