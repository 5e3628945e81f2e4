"""The command that draws the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifecycle.cli.application import (
    DEFAULT,
    LOOK,
    AsJson,
    AsOf,
    Changes,
    Config,
    answer,
    app,
    open_business,
)


@app.command(rich_help_panel=LOOK)
def report(
    out: Annotated[Path, typer.Option("--out", help="the page to write")] = Path("report.html"),
    as_of: AsOf = None,
    tables: Annotated[
        Path | None,
        typer.Option("--tables", help="draw what `lifecycle value --out` wrote into this folder"),
    ] = None,
    with_ids: Annotated[
        bool, typer.Option("--with-ids", help="name the first customers to keep in the page")
    ] = False,
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Draw the page with the answers: one HTML file, its tables and lists of customers beside it.

    In English and Chinese, without a script; nothing in it is loaded from elsewhere. Scores are
    those of the day: `lifecycle score` or `lifecycle run` first.
    """
    from features.core.instants import day_text, instant, last_midnight
    from features.core.setting_changes import read_changes
    from lifecycle.commands.report import Wish, make_page, page_command

    settings, history, counts = open_business(config, changes)
    zone = settings.zone
    at = None if as_of is None else instant(as_of, zone=zone)
    further = [] if tables is None else ["--tables", str(tables)]
    further += ["--with-ids"] if with_ids else []
    wish = Wish(
        out,
        lambda at: page_command(config, read_changes(changes or ()), at, zone, *further),
        tables,
        with_ids,
        drawn_on=day_text(last_midnight(zone), zone=zone),
    )
    page = make_page(history, counts, settings, at, wish)
    answer(page.report(), page.text(), as_json)
