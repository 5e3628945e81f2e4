"""The commands of campaigns: decide whom to contact, and measure what it changed."""

from __future__ import annotations

from pathlib import Path
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

Campaign = Annotated[str, typer.Option("--campaign", help="the name of the campaign")]


@app.command(rich_help_panel=SERVE)
def decide(
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="the name of the campaign")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="the folder for the lists")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="only say what is odd about the actions")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="decide, print, and write and keep nothing")
    ] = False,
    budget: Annotated[
        float | None, typer.Option("--budget", help="the money that may be spent")
    ] = None,
    capacity: Annotated[
        list[str] | None,
        typer.Option(
            "--capacity",
            metavar="CHANNEL=N",
            help="the most customers of a channel; may be repeated",
        ),
    ] = None,
    as_of: AsOf = None,
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Choose who gets which action of [actions], within a budget, and who is held out.

    By the scores of the day: `lifecycle run` or `lifecycle score` first. The lists are written for
    people (CSV) and programs (parquet), and `treatments.csv` for the table treatments.
    """
    from features.core.errors import BadSetting
    from features.core.instants import instant
    from lifecycle.commands import decide as decisions
    from lifecycle.commands.decide_rules import read_capacities, read_rules
    from lifecycle.commands.decision import answer_of
    from lifecycle.commands.measure import rejected_rows

    if not check and (campaign is None or (out is None and not dry_run)):
        raise BadSetting(
            where="decide",
            got="no --campaign" if campaign is None else "no --out",
            rule="A campaign has a name, and its lists a folder.",
            fix="Type: lifecycle decide --campaign spring --out spring",
        )
    settings, history, counts = open_business(config, changes)
    capacities = read_capacities(capacity or ())
    name = "check" if campaign is None else campaign
    rules = read_rules(settings, name, budget=budget, capacity=capacities)
    at = None if as_of is None else instant(as_of, zone=settings.zone)
    if check:
        findings = decisions.check_actions(history, settings, rules, at)
        text = decisions.findings_text(findings)
        answer({"findings": [vars(each) for each in findings]}, text, as_json)
        return
    if dry_run or out is None:
        report, text = answer_of(
            decisions.decide(history, settings, rules, at), rejected_rows(counts)
        )
        answer(report, text, as_json)
        return
    decision = decisions.decide_campaign(history, settings, rules, at, out)
    report, text = answer_of(decision, rejected_rows(counts))
    answer({**report, "out": str(out)}, f"{text}\n→ {out}", as_json)


@app.command(rich_help_panel=SERVE)
def measure(
    campaign: Annotated[
        str | None,
        typer.Option("--campaign", help="the campaign; without it those decided are named"),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", help="a difference in the share kept that would not matter"),
    ] = None,
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Say what a campaign changed, beside the customers who were held out of it.

    An effect, harm, no effect, or not enough data. Campaigns are those of `lifecycle decide`, and
    those of the table treatments.
    """
    from lifecycle.commands.measure import measure_campaign, name_campaigns, rejected_rows

    settings, history, counts = open_business(config, changes)
    if campaign is None:
        names = name_campaigns(history)
        answer({"campaigns": names}, "\n".join(names), as_json)
        return
    report, text = measure_campaign(
        history, settings, campaign, margin, rejected=rejected_rows(counts)
    )
    answer(report, text, as_json)


@app.command(rich_help_panel=SERVE)
def loop(config: Config = DEFAULT, changes: Changes = None, as_json: AsJson = False) -> None:
    """Follow each campaign from its scores to the next release, and name the broken links.

    Scores → list → contacts → outcomes → effect → release that has learned from it.
    """
    from lifecycle.commands.loop import campaign_loops
    from lifecycle.commands.loop_text import loop_text

    settings, history, _ = open_business(config, changes)
    loops = campaign_loops(history, settings)
    answer({"campaigns": [each.report() for each in loops]}, loop_text(loops), as_json)


@app.command(rich_help_panel=SERVE)
def uplift(
    campaign: Campaign,
    config: Config = DEFAULT,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Learn whom each action of a campaign moves, and whether to send by it.

    By the scores of the day it was decided. What is better than sending by risk is used by
    `lifecycle decide` from then on.
    """
    from lifecycle.commands.measure import learn_effects

    settings, history, _ = open_business(config, changes)
    report, text = learn_effects(history, settings, campaign)
    answer(report, text, as_json)
