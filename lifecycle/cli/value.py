"""The command that writes the tables a business looks at."""

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
def value(
    out: Annotated[Path, typer.Option("--out", help="the folder for the tables")],
    as_of: AsOf = None,
    what_if: Annotated[
        str | None,
        typer.Option("--what-if", help="a table of what another retention is worth: retention=+5%"),
    ] = None,
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Write the tables a business looks at: RFM, tiers, cohorts, growth, stages, satisfaction.

    Each is a parquet and a CSV file. Without --as-of they are of the midnight right after the data.
    """
    from features.core.instants import instant
    from features.indicators.what_if import read_what_if
    from lifecycle.commands.value import make_value_tables

    change = read_what_if(what_if)
    settings, history, _ = open_business(config, changes)
    at = None if as_of is None else instant(as_of, zone=settings.zone)
    tables = make_value_tables(history, settings, at, what_if=change)
    tables.write(out)
    answer({**tables.report(), "out": str(out)}, f"{tables.text()}\n→ {out}", as_json)
