"""The cards of a score: risk, next stage, curve, worth, reasons, own targets and warnings."""

from __future__ import annotations

import re
from collections.abc import Callable

from features.core.language import join_words, number, percent, say
from features.recipes.stages import STAGES
from serving.api.console.cards import Card, Subject, TableView, Text, Tile
from serving.api.console.decision_card import decision_card
from serving.api.console.words import (
    evidence_sentence,
    reason_sentence,
    rule_sentence,
    warning_sentence,
)
from serving.api.console.writing import write_word
from serving.drawing.bars import Row, draw_bars
from serving.drawing.html import sentence
from serving.drawing.lines import Line, Point, draw_lines
from serving.scoring.curve_columns import CANCELS, EXPECTED
from serving.scoring.reasons import REASON_COUNT
from serving.scoring.value_columns import VALUE_COLUMNS

Write = Callable[[float], str]
_CURVE = re.compile(r"(p_active|p_lost|p_return)_(\d+)d")
_LOOKS = {"p_active": "series-1", "p_lost": "series-2", "p_return": "series-3"}


def score_tiles(subject: Subject) -> list[Tile]:
    """Stage, risk and worth at a glance."""
    entry = subject.entry
    nothing = say("not scored")
    tiles = [Tile(say("Stage"), write_word(entry["stage"]), _rule(subject), entry["stage"])]
    risk = subject.figure("p_churn", percent)
    note: Text = "" if risk is None else _interval(subject, "p_churn", percent)
    tiles.append(Tile(say("Risk of leaving in {n} days", n=subject.days), risk or nothing, note))
    worth = subject.figure("clv", subject.write.worth)
    note = "" if worth is None else _interval(subject, "clv", subject.write.worth)
    days = number(subject.served.settings.value.days)
    return [*tiles, Tile(say("Worth in {n} days", n=days), worth or nothing, note)]


def _rule(subject: Subject) -> str:
    release = subject.served.release
    same = subject.run.release == release.id
    multiples = release.scorer.definitions.multiples if same else None
    return rule_sentence(subject.entry["stage_rule"], subject.entry["stage"], multiples)


def _interval(subject: Subject, column: str, write: Write) -> Text:
    low, high = (subject.figure(f"{column}_{end}", write) for end in ("low", "high"))
    if low is None or high is None:
        return say("no interval was measured")
    return sentence("{low} to {high}", low=low, high=high)


def score_cards(subject: Subject) -> list[Card]:
    """The cards that have something to say of this customer."""
    cards = (
        _risk_card(subject),
        _reasons_card(subject),
        _next_card(subject),
        _curve_card(subject),
        _worth_card(subject),
        decision_card(subject),
        _targets_card(subject),
        _warnings_card(subject),
    )
    return [card for card in cards if card is not None]


def _risk_card(subject: Subject) -> Card:
    entry, title = subject.entry, say("How likely is it that this customer leaves?")
    if entry["p_churn"] is None:
        return Card("risk", title, [say("There is no score for this customer.")])
    hundred = _of_hundred
    texts: list[Text] = []
    if entry["p_churn_low"] is not None and entry["p_churn_high"] is not None:
        texts.append(
            sentence(
                "Of 100 customers with this evidence and a similar score about {n} leave within "
                "{days} days; in nine of ten such groups it is {low} to {high}.",
                n=subject.figure("p_churn", hundred),
                days=subject.days,
                low=subject.figure("p_churn_low", hundred),
                high=subject.figure("p_churn_high", hundred),
            )
        )
    else:
        texts.append(
            sentence(
                "Of 100 customers with a similar score about {n} leave within {days} days.",
                n=subject.figure("p_churn", hundred),
                days=subject.days,
            )
        )
    texts.append(
        say("To leave means that the paid cover ends and is not renewed.")
        if subject.contractual
        else say("To leave means that there is no activity within {n} days.", n=subject.days)
    )
    cancels = subject.figure(CANCELS, percent)
    if cancels is not None:
        texts.append(sentence("Probability of leaving by a cancellation: {share}.", share=cancels))
    if entry["evidence"] is not None:
        texts.append(evidence_sentence(entry["evidence"]))
    if entry["stage_if_inactive"] is not None:
        stage = write_word(entry["stage_if_inactive"])
        texts.append(
            say("Stage in {n} days if nothing happens: {stage}.", n=subject.days, stage=stage)
        )
    return Card("risk", title, texts)


def _of_hundred(share: float) -> str:
    return number(100 * share) if share >= 0.01 or share == 0 else number(100 * share, 1)


def _reasons_card(subject: Subject) -> Card:
    title = say("Why?")
    columns = [f"reason_{place + 1}" for place in range(REASON_COUNT)]
    reasons = [subject.entry[name] for name in columns if subject.entry[name] is not None]
    if not reasons:
        return Card("reasons", title, [say("This score has no reasons.")])
    note = say("What moves the score most against the usual customer; no proof of a cause.")
    return Card("reasons", title, [note], items=[reason_sentence(each) for each in reasons])


def _next_card(subject: Subject) -> Card | None:
    rows = [
        Row(write_word(stage), value, look=f"stage {stage}")
        for stage in STAGES
        if (value := subject.drawn(f"p_next_{stage}", percent)) is not None
    ]
    if not rows:
        return None
    title = say("Which stage comes next?")
    texts = [say("The stage in {n} days, with its probability.", n=subject.days)]
    likely = subject.entry["next_stages"]
    if likely:
        stages = join_words(write_word(stage) for stage in likely)
        texts.append(say("In nine of ten cases it is one of these: {stages}.", stages=stages))
    picture = draw_bars(title, rows, _whole_percent).markup()
    return Card("next", title, texts, picture=picture)


def _whole_percent(share: float) -> str:
    return percent(share, 0)


def _curve_columns(subject: Subject) -> dict[str, list[tuple[int, str]]]:
    """By kind of curve (days, column) of the entry, where it has a number."""
    curves: dict[str, list[tuple[int, str]]] = {}
    for column, value in subject.entry.items():
        match = _CURVE.fullmatch(column)
        if match is not None and value is not None:
            curves.setdefault(match[1], []).append((int(match[2]), column))
    return {kind: sorted(columns) for kind, columns in curves.items()}


def _curve_name(kind: str) -> str:
    if kind == "p_lost":
        return say("cover is lost")
    return say("comes back") if kind == "p_return" else say("active again")


def _curve_card(subject: Subject) -> Card | None:
    curves = _curve_columns(subject)
    if not curves:
        return None
    title = say("When?")
    lines = [
        Line(
            _curve_name(kind),
            _LOOKS[kind],
            [
                Point(float(days), value, column)
                for days, column in columns
                if (value := subject.drawn(column, percent)) is not None
            ],
        )
        for kind, columns in curves.items()
        if kind != "p_return" or not _same_numbers(subject, curves)
    ]
    picture = draw_lines(
        title, lines, _whole_percent, write_x=number, x_name=say("days from now"), y_ends=(0, 1)
    ).markup()
    texts: list[Text] = [say("How likely it is within so many days.")]
    expected = subject.figure(EXPECTED, lambda days: number(days))
    if expected is not None:
        texts.append(sentence("As likely as not within {n} days.", n=expected))
    return Card("curve", title, texts, picture=picture, table=_curve_table(subject, curves))


def _same_numbers(subject: Subject, curves: dict[str, list[tuple[int, str]]]) -> bool:
    """Whether to come back is to be active again: one line would hide the other."""
    numbers = [
        [(days, subject.entry[column]) for days, column in curves.get(kind, [])]
        for kind in ("p_active", "p_return")
    ]
    return numbers[0] == numbers[1]


def _curve_table(subject: Subject, curves: dict[str, list[tuple[int, str]]]) -> TableView:
    by_days: dict[int, dict[str, str]] = {}
    for kind, columns in curves.items():
        for days, column in columns:
            by_days.setdefault(days, {})[kind] = column
    rows = [
        [number(days), *(subject.figure(of.get(kind, ""), percent) or "–" for kind in curves)]
        for days, of in sorted(by_days.items())
    ]
    return TableView([say("days"), *map(_curve_name, curves)], rows)


def _worth_card(subject: Subject) -> Card | None:
    if "clv" not in subject.entry:
        return None
    title = say("What is this customer worth?")
    write = subject.write.worth
    if subject.entry["clv"] is None:
        return Card("worth", title, [say("It is not known.")])
    expected, low, high, stays = (subject.figure(name, write) for name in VALUE_COLUMNS)
    days = number(subject.served.settings.value.days)
    texts: list[Text] = [
        sentence("{amount} are expected within {days} days.", amount=expected, days=days)
    ]
    if low is not None and high is not None:
        texts.append(
            sentence("For nine of ten such customers it is {low} to {high}.", low=low, high=high)
        )
    if stays is not None:
        texts.append(sentence("If this customer stays: {amount}.", amount=stays))
    return Card("worth", title, texts)


def _targets_card(subject: Subject) -> Card | None:
    own = [
        (name, figure)
        for name in subject.run.further_columns
        if not _is_known(name)
        and (figure := subject.figure(name, _target_writer(name))) is not None
    ]
    return Card("targets", say("Own targets"), facts=own) if own else None


def _is_known(name: str) -> bool:
    known = name in (*VALUE_COLUMNS, EXPECTED, CANCELS)
    return known or _CURVE.fullmatch(name) is not None


def _target_writer(name: str) -> Write:
    return percent if name.startswith("p_") else lambda value: number(value, 2)


def _warnings_card(subject: Subject) -> Card | None:
    warnings = [warning_sentence(each) for each in subject.entry["warnings"]]
    title = say("What to know about this score")
    return Card("warnings", title, items=warnings) if warnings else None
