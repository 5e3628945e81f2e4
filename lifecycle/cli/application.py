"""The application that commands register with: the groups of the help, the common options."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    # typer brings click along under this name.
    from typer._click.core import Context
    from typer._click.formatting import HelpFormatter

    from features.core.settings import Settings
    from features.tables.history import History
    from features.tables.sources import RowCounts

LOOK, TRAIN, SERVE = "Look at your data", "Train and compare models", "Score and serve"

Config = Annotated[Path, typer.Option("-c", "--config", help="the lifecycle.toml")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="a setting other than in the file; may be repeated"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="YYYY-MM-DD (local midnight) or an RFC 3339 instant")
]
Out = Annotated[Path, typer.Option("--out", help="the file to write: .parquet or .csv")]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="print the tables too, not only the answer")
]
NoReport = Annotated[bool, typer.Option("--no-report", help="do not draw the page")]
RunName = Annotated[
    str | None,
    typer.Option("--name", help="the run's name in MLflow, stored as typed: no customer data"),
]
RunTags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", metavar="KEY=VALUE", help="a tag in MLflow, stored as typed; may be repeated"
    ),
]
DEFAULT = Path("lifecycle.toml")


class Groups(TyperGroup):
    """Commands in their groups, each with its whole description; `--quiet` is accepted anywhere."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write one section for each group, in the order in which the commands were registered."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                group = getattr(command, "rich_help_panel", None) or "Commands"
                # A limit no description reaches: none is cut off.
                description = command.get_short_help_str(limit=1000)
                sections.setdefault(str(group), []).append((name, description))
        for group in (LOOK, TRAIN, SERVE):
            with formatter.section(group):
                formatter.write_dl(sections[group])

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Take `--quiet` out of the arguments wherever it stands before a `--`."""
        end = args.index("--") if "--" in args else len(args)
        if any(not part.startswith("--") for part in args[:end]):  # a command, not --help alone
            from features.core.progress import set_quiet

            set_quiet("--quiet" in args[:end])
        args = [part for part in args[:end] if part != "--quiet"] + args[end:]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Groups,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Where each customer stands, who will leave, which stage comes next, and why.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from lifecycle import __version__

        print(f"lifecycle {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="no progress lines; also after a command")
    ] = False,
) -> None:
    """Options of every command; `Groups` takes `--quiet` out of the arguments before."""
    from features.core.language import VARIABLE, read_language, set_language

    set_language(read_language(os.environ.get(VARIABLE)))


def open_business(
    config: Path,
    changes: Sequence[str] | None = None,
    *,
    only_counted: bool = False,
    in_shares: bool = False,
) -> tuple[Settings, History, dict[str, RowCounts]]:
    """The settings with `changes`, everything recorded, and the count of every row read.

    only_counted: for commands that need no order (`features.tables.sources.Reading`). in_shares:
    for those that can read a large kept history share by share (`features.tables.outline`).
    """
    from features.core.setting_changes import read_changes
    from features.core.settings import load_settings
    from features.tables.history import load_history
    from features.tables.outline import load_outline, share_plan
    from features.tables.sources import Reading

    settings = load_settings(config, read_changes(changes or ()))
    if in_shares and (shares := share_plan(settings)):
        return settings, *load_outline(settings, shares)
    history, counts = load_history(settings, Reading(only_counted=only_counted))
    return settings, history, counts


def left_out_lines(history: History) -> list[str]:
    """One line for each file with rows that could not be read."""
    from features.core.language import say

    return [
        say(
            "  warning: {bad_rows:,} of {rows:,} rows of {path} are left out, because they cannot "
            "be read; lifecycle check names them",
            bad_rows=file.bad_rows,
            rows=file.rows + file.bad_rows,
            path=file.path,
        )
        for file in history.files.values()
        if file.bad_rows
    ]


def rows_left_out(history: History) -> int:
    """How many rows of all files could not be read."""
    return sum(file.bad_rows for file in history.files.values())


def answer(value: Mapping[str, object], text: str, as_json: bool) -> None:
    """Print the text, or the value as one JSON object."""
    shown = json.dumps(value, ensure_ascii=False, default=str, sort_keys=True) if as_json else text
    print(shown, flush=True)
