"""Commands that look at the data: what is there, and what it says of each customer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lifecycle.cli.application import (
    DEFAULT,
    LOOK,
    AsJson,
    Changes,
    Config,
    NoReport,
    Out,
    Verbose,
    answer,
    app,
    open_business,
)

if TYPE_CHECKING:
    from features.engine.pairs import PairRows


@app.command(rich_help_panel=LOOK)
def demo(
    into: Annotated[Path, typer.Option(help="the folder for everything")] = Path("demo"),
    customers: Annotated[int, typer.Option(help="how many customers")] = 3000,
    subscription: Annotated[
        bool, typer.Option("--subscription", help="monthly and annual contracts instead of a shop")
    ] = False,
    actions: Annotated[
        bool, typer.Option("--actions", help="with a campaign of three actions and a hold-out")
    ] = False,
    no_report: NoReport = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a small business, run the main job on it, and compare with the truth."""
    from lifecycle.commands.demo import demo as run_demo

    mode = "subscription" if subscription else "retail"
    finished = run_demo(
        into,
        customers=customers,
        mode=mode,
        verbose=verbose,
        page=not no_report,
        actions=actions,
    )
    answer(finished.value, finished.text, as_json)


@app.command(rich_help_panel=LOOK)
def ingest(config: Config = DEFAULT, changes: Changes = None, as_json: AsJson = False) -> None:
    """Check the files once, and keep what is new in [history] folder for every other command.

    The files are the whole export again or the new day alone; to ingest a day twice changes
    nothing.
    """
    from features.core.setting_changes import read_changes
    from features.core.settings import load_settings
    from features.tables.history_store.ingest import ingest as ingest_files
    from lifecycle.commands.ingest_text import ingest_report, ingest_text

    ingested = ingest_files(load_settings(config, read_changes(changes or ())))
    answer(ingest_report(ingested), ingest_text(ingested), as_json)


@app.command(rich_help_panel=LOOK)
def init(
    files: Annotated[
        list[Path] | None, typer.Argument(help="your files, or folders of parts")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="the configuration to write")] = DEFAULT,
    given: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="KEY=VALUE", help="answer a question; repeat for more"),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="ask nothing: write the questions as lines with CHECK")
    ] = False,
    formats: Annotated[
        bool, typer.Option("--formats", help="list the exports that init knows, and write nothing")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented lifecycle.toml for your files, with the reason for each choice.

    On a terminal it asks what only a person knows. A file that exists is never overwritten: what
    would change is printed as a diff, and the command ends with 1.
    """
    from features.core.errors import BadSetting
    from features.core.language import say
    from features.core.progress import is_terminal
    from lifecycle.init import describe_formats, format_text, interview, parse_answers, write_config

    if formats:
        known = describe_formats()
        answer({"formats": known}, format_text(known), as_json)
        return
    if not files:
        raise BadSetting(
            where="init",
            got="no file",
            rule="init reads your files to write a configuration for them.",
            fix="Type: lifecycle init orders.csv customers.csv",
        )
    answers = parse_answers(given or [])
    on_terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout) and not (yes or as_json)
    ask = interview.ask_on_terminal if on_terminal else None
    config = interview.settle_questions(files, out, answers, ask)
    value = {"config": str(out), **interview.report(config, answers)}
    if out.exists():
        diff = interview.diff_text(out, config.page)
        text = f"{diff}\n{config.files_sentence}" if diff else say("{out} stays as it is", out=out)
        answer({**value, "diff": diff}, text, as_json)
        if diff:
            sys.exit(1)
        return
    write_config.write_page(config.page, out)
    lines = [f"  {row['what']}: {row['guess']} ({row['reason']})" for row in config.rows]
    open_ones = config.open_lines
    if open_ones == 1:
        correct = say("decide the 1 line marked CHECK")
    elif open_ones:
        correct = say("decide the {lines} lines marked CHECK", lines=open_ones)
    else:
        correct = say("nothing is open")
    next_step = say(
        "wrote {out}; {correct}, then type: lifecycle check -c {out}", out=out, correct=correct
    )
    answer(value, "\n".join([*lines, "", next_step, config.files_sentence]), as_json)


@app.command(rich_help_panel=LOOK)
def check(
    config: Config = DEFAULT,
    changes: Changes = None,
    rejects: Annotated[Path | None, typer.Option(help="write the rejected rows here")] = None,
    definition: Annotated[
        bool, typer.Option("--definition", help="show how the definition of churn moves its rate")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit 1 where anything looks wrong")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read the data, count every row, and name what looks wrong, with what to type.

    Exits with 1 where no customer or no row of a table is left; with --strict on any finding.
    """
    from features.core.errors import EmptyTable, SeveralRefused, owner_text
    from features.plausibility import definition_report
    from lifecycle.commands import check as checks
    from lifecycle.commands.check_text import report_text

    try:
        settings, history, counts = open_business(config, changes, only_counted=True)
    except (EmptyTable, SeveralRefused) as error:
        errors = error.errors if isinstance(error, SeveralRefused) else (error,)
        if not all(isinstance(each, EmptyTable) for each in errors):
            raise
        # The data were read, and nothing of a table is left: a check that failed.
        print(owner_text(error), file=sys.stderr)
        sys.exit(1)
    report = checks.build_report(history, counts, settings)
    if definition:
        report["definition"] = definition_report(history, settings)
    if rejects:
        from serving.batch.writers import write_table

        write_table(history.connection.table("rejects").to_arrow_table(), rejects)
    answer(report, report_text(report), as_json)
    if checks.nothing_left(report) or (strict and report["findings"]):
        sys.exit(1)


@app.command(rich_help_panel=LOOK)
def audit(
    config: Config = DEFAULT,
    changes: Changes = None,
    dates: Annotated[int, typer.Option(min=1, max=100, help="how many instants are tried")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="decides which instants")] = 7,
    table: Annotated[
        Path | None,
        typer.Option(
            "--features",
            help="a feature table made elsewhere (.csv or .parquet of customer_id, as_of, columns)",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check on your tables that no feature uses later rows, and search for leaks.

    With --features the same court judges a table that somebody else made: what equals one of our
    features at as_of, what equals it at a later instant, and what foretells too well.
    """
    from features import audit as audits

    settings, history, _ = open_business(config, changes)
    if table is None:
        report = audits.audit(history, settings, dates=dates, seed=seed)
        text = audits.report_text(report)
    else:
        given = audits.read_feature_table(table, settings)
        report = audits.audit_table(given, history, settings, dates=dates, seed=seed)
        text = audits.table_text(report)
    answer(report, text, as_json)
    if not report["passed"]:
        sys.exit(1)


@app.command(rich_help_panel=LOOK)
def features(
    out: Out,
    as_of: Annotated[
        list[str] | None, typer.Option("--as-of", help="repeat for several dates")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help=".csv or .parquet of customer_id and as_of, one a row")
    ] = None,
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Write feature rows of everybody at some instants, or of pairs of customer and instant.

    Stages and windows are learned at the earliest instant and hold for all of them.
    """
    from features.core.errors import BadSetting
    from features.core.instants import instant
    from features.core.language import say, term
    from features.engine import many_dates, pairs_file
    from features.tables.history import refuse_too_late
    from serving.batch.writers import write_table

    if bool(as_of) == bool(pairs):
        raise BadSetting(
            where="features",
            got="both or neither of --as-of and --pairs",
            rule="Features are made for everybody at some instants, or for pairs.",
            fix="Give --as-of 2024-06-01 (several times if needed), or --pairs FILE.",
        )
    settings, history, _ = open_business(config, changes, in_shares=not pairs)
    counts: dict[str, int] = {}
    if pairs:
        paired, counts["populations"] = pairs_file.build_for_pairs(
            history, settings, pairs_file.read_pairs(pairs, settings)
        )
        rows = paired.rows
        counts |= _pair_counts(paired)
    else:
        instants = sorted({instant(at, zone=settings.zone) for at in as_of or ()})
        refuse_too_late(history, settings, instants[-1])
        rows = many_dates.build_for_dates(history, settings, as_of=instants)
    write_table(rows, out)
    counts |= {"rows": rows.num_rows, "columns": rows.num_columns}
    lines = [
        say("  {name}: {rows:,}", name=term(name.replace("_", " ")), rows=count)
        for name, count in counts.items()
    ]
    answer({**counts, "out": str(out)}, "\n".join([str(out), *lines]), as_json)


def _pair_counts(paired: PairRows) -> dict[str, int]:
    """What became of the pairs: requested = rows + repeated + unknown + without activity."""
    return {
        "requested": paired.requested,
        "repeated": paired.repeated,
        "unknown": paired.unknown,
        "without_activity": paired.without_activity,
    }


@app.command("why-value", rich_help_panel=LOOK)
def why_value(
    customer: Annotated[str, typer.Option(help="the customer's id")],
    as_of: Annotated[
        str, typer.Option("--as-of", help="YYYY-MM-DD (local midnight) or an RFC 3339 instant")
    ],
    feature: Annotated[str, typer.Option(help="a column of the feature table")],
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Show the rows behind one feature value of one customer."""
    from features.core.instants import instant
    from features.engine.explain import explain_value, report_text
    from features.tables.history import refuse_too_late

    settings, history, _ = open_business(config, changes)
    refuse_too_late(history, settings, instant(as_of, zone=settings.zone))
    explanation = explain_value(
        history,
        settings,
        customer=customer,
        as_of=instant(as_of, zone=settings.zone),
        column=feature,
    )
    answer(explanation, report_text(explanation), as_json)


@app.command(rich_help_panel=LOOK)
def stages(
    out: Out, config: Config = DEFAULT, changes: Changes = None, as_json: AsJson = False
) -> None:
    """Write the stage history: the stage and rule of every customer, month by month."""
    from features.core.language import say
    from serving.batch.writers import write_table
    from training.stage_history import stage_history

    settings, history, _ = open_business(config, changes)
    rows = stage_history(history, settings)
    write_table(rows, out)
    text = say("{rows:,} rows → {out}", rows=rows.num_rows, out=out)
    answer({"rows": rows.num_rows, "out": str(out)}, text, as_json)
