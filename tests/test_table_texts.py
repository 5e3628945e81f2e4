"""Every text and every word that the tables carry has its Chinese.

They are looked for where they are written (in the code of the tables) and where they are read (in
the tables of businesses of both kinds, and of some with hardly anything in them).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

import features.indicators
import serving.report
import serving.value
import training.effects
from features.core.contract import ALL_TABLES
from features.core.errors import WrongType
from features.core.language import (
    CHINESE,
    TERM,
    TEXT,
    catalogue,
    term,
    text_pattern,
    translate_text,
    use_language,
)
from features.core.value_rules import CURRY_TIERS
from features.indicators.all_tables import business_tables
from features.indicators.first_offer import DEPTHS
from features.indicators.rfm import SEGMENT_NAMES
from features.indicators.what_if import RULE
from features.recipes.stages import STAGES
from features.tables.freshness import measure_freshness
from features.tables.parsing import column_sql
from features.tables.reject_examples import ALLOWED
from features.tables.typed_tables import RowCounts
from lifecycle.commands.value import make_value_tables
from serving.report.input_tables import FRESH, NOT_KNOWN, STALE, input_tables
from serving.report.model_tables import model_tables
from serving.report.summary import summary_table
from serving.report.written_tables import WrittenTables
from serving.value.scored_tables import scored_tables
from tests.support.indicator_worlds import day, orders, write_business
from training.evaluation.baseline_comparison import OURS, SIMPLE_TO_COMPLEX
from training.evaluation.gate_comparison import NOT_JUDGED, PASSES, REFUSED

CATALOGUE = catalogue(CHINESE)
TEXT_COLUMNS = ("definition", "population", "missing", "note", "stance", "rule")
# Words of the business itself, days, and the reasons of scores, which are no words of the tables.
OWN_COLUMNS = (
    *("customer_id", "channel", "cohort", "month", "day", "date", "instant", "until", "table"),
    *("level", "group", "reason", "reason_1", "reason_2", "reason_3", "example"),
)
OWN_SEGMENTS = ("customers", "potential")
SAME_IN_CHINESE = ("BG/NBD",)
OF_STAGES = ("marginal", "persistence", "Markov", "semi-Markov", "hurdle, ")  # not on the page
RAW_TYPES = ("VARCHAR", "DOUBLE", "BIGINT", "TIMESTAMP", "DECIMAL(18,2)")
# Sentences of the code that no table carries, or that have a word of the business's own in them.
NOT_OF_TABLES = (RULE, "feedback or interactions of kind  ([value] service_costs)")
_SQL = re.compile(r"\b(SELECT|FROM|CASE|WHEN|CREATE|AND|OVER|ORDER|CAST|FILTER|VALUES)\b")
_PLACE, _NAME = re.compile(r"\{\d+\}"), re.compile(r"\{[a-z_]+\}")
_SENTENCE = re.compile("[a-z]{2,} [a-z]{2,}")


def sources() -> list[Path]:
    """The modules that say what tables carry."""

    def modules(package: ModuleType) -> list[Path]:
        return sorted(Path(str(package.__file__)).parent.glob("*.py"))

    of_page = {path.stem: path for path in modules(serving.report)}
    names = ("model_tables", "input_tables", "summary")
    few = [of_page[name] for name in names]
    register = Path(str(training.effects.__file__)).parent / "register.py"
    return [*modules(features.indicators), *modules(serving.value), *few, register]


def code_sentences(source: str) -> Iterator[list[str | None]]:
    """The English sentences of a module in parts; None where a value is put in.

    Neither docstrings nor SQL.
    """
    tree = ast.parse(source)
    left_out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            left_out.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        parts: list[str | None] = []
        if isinstance(node, ast.JoinedStr):
            parts = [str(p.value) if isinstance(p, ast.Constant) else None for p in node.values]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = [node.value]
        text = "".join(part or "" for part in parts)
        if id(node) in left_out or _SQL.search(text) or text in NOT_OF_TABLES:
            continue
        if text.count(" ") >= 3 and _SENTENCE.search(text):
            yield parts


def untranslated(source: str) -> list[str]:
    """The sentences of a module that are in no message, nor a part of one."""
    messages = [
        _PLACE.sub("#", each.id) for each in CATALOGUE if each.id and each.context in (TERM, TEXT)
    ]
    messages += [text_pattern(message) for message in messages]
    messages = [_PLACE.sub("#", message) for message in messages]
    return [
        "".join("…" if part is None else part for part in parts)
        for parts in code_sentences(source)
        if not any(_pattern_of(parts).search(message) for message in messages)
    ]


def _pattern_of(parts: list[str | None]) -> re.Pattern[str]:
    values = [
        ".*"
        if part is None
        else ".*".join(re.escape(_PLACE.sub("#", text_pattern(each))) for each in _NAME.split(part))
        for part in parts
    ]
    return re.compile("".join(values), re.DOTALL)


def without_chinese(tables: Mapping[str, pa.Table]) -> list[str]:
    """The texts and words of these tables that a Chinese reader would see in English."""
    found = set()
    with use_language(CHINESE):
        for name, column, cell in cells(tables):
            if column in TEXT_COLUMNS:
                is_said = translate_text(cell) != cell
            else:
                is_said = term(cell) != cell or cell in SAME_IN_CHINESE
            if cell and not is_said:
                found.add(f"{name}.{column}: {cell}")
    return sorted(found)


def cells(tables: Mapping[str, pa.Table]) -> Iterator[tuple[str, str, str]]:
    """(table, column, cell) of every text and word that is not the business's own."""
    for name, table in tables.items():
        for column in table.schema:
            is_own = column.name in OWN_COLUMNS
            is_own |= column.name == "segment" and name in OWN_SEGMENTS
            if pa.types.is_string(column.type) and not is_own:
                values = table[column.name].drop_null().unique().to_pylist()
                yield from ((name, column.name, value) for value in values)


def rules_of_contract() -> set[str]:
    """Every reason for which a row of some table is left out."""
    reasons = {*ALLOWED, "complete_after_it_was_recorded"}
    for table in ALL_TABLES.values():
        for column in table.columns:
            for raw_type in RAW_TYPES:
                try:
                    read = column_sql(
                        column, raw="x", raw_type=raw_type, table=table.name, zone="UTC", digits=2
                    )
                except WrongType:
                    continue
                reasons |= {reason for reason, _ in read.violations}
    return reasons


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_every_sentence_of_the_code_is_in_the_catalogue(path):
    assert not untranslated(path.read_text(encoding="utf-8"))


def test_a_sentence_that_was_changed_is_seen():
    [path] = [path for path in sources() if path.stem == "growth"]
    source = path.read_text(encoding="utf-8")
    for was, is_now in (
        ("purchases minus refunds", "purchases without refunds"),
        ('"a category of transactions"', '"the category of transactions"'),
        ("the month before = new", "the year before = new"),
    ):
        assert was in source
        assert len(untranslated(source.replace(was, is_now))) == 1


@pytest.mark.parametrize(
    "business",
    [
        "trained_shop",
        pytest.param("trained_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
    indirect=True,
)
def test_every_text_and_word_of_a_whole_business_is_chinese(at_home):
    made = make_value_tables(
        at_home.history, at_home.settings, at_home.run.as_of, what_if=0.05
    ).tables
    as_of, zone = at_home.run.as_of, at_home.settings.zone
    freshness = measure_freshness(at_home.history, at_home.settings, as_of)
    counts = {"transactions": RowCounts(9, 7, {"exact_duplicate": 2})}
    tables = {
        **made,
        **input_tables(freshness, counts, as_of=as_of, zone=zone),
        **model_tables(at_home.release.evaluation, as_of=as_of),
    }
    tables["page_summary"] = summary_table(WrittenTables(tables), as_of=as_of)
    assert len(list(cells(tables))) > 200
    assert not without_chinese(tables)


@pytest.mark.parametrize("business", ["trained_shop"], indirect=True)
def test_a_changed_cell_is_seen(at_home):
    tables = model_tables(at_home.release.evaluation, as_of=0)
    rates = tables["churn_rates"]
    for column in ("definition", "split"):
        changed = pa.array(["another cell"] * rates.num_rows)
        place = rates.column_names.index(column)
        table = rates.set_column(place, column, changed)
        assert without_chinese({"churn_rates": table}) == [f"churn_rates.{column}: another cell"]


BEFORE, AFTER = "2023-12-01", "2024-06-01"
ONE = orders("anna 2024-01-05 20")
ONCE = orders(*(f"c{number} 2024-01-{number % 28 + 1:02d} 20" for number in range(60)))
FEEDBACK = "customer_id,occurred_at,kind,score,answered_at\nanna,2024-01-06,csat,,\n"
WORLDS = {
    "nobody yet": ({}, BEFORE),
    "one purchase": ({}, AFTER),
    "a question without an answer": ({"feedback": FEEDBACK}, AFTER),
    "everybody bought once": ({"transactions": ONCE}, AFTER),
    "a cost alone": ({"costs": "channel,month,amount\nsearch,2024-02,50\n"}, AFTER),
    "a lead alone": ({"leads": "lead_id,occurred_at,channel\n1,2024-02-01,search\n"}, AFTER),
}


@pytest.mark.parametrize("name", WORLDS)
def test_what_a_small_business_misses_is_said_in_chinese(tmp_path, name):
    files, at = WORLDS[name]
    settings, history = write_business(tmp_path, {"transactions": ONE, **files})
    # At midnight, and at another time of day.
    for as_of in (day(at), day(at) + 3_600_000_000):
        tables = business_tables(history, settings, as_of=as_of, further=[scored_tables])
        tables |= model_tables(None, as_of=as_of)
        tables |= input_tables({}, {}, as_of=as_of, zone=settings.zone)
        assert not without_chinese(tables)


@pytest.mark.parametrize("at", ["2025-01-01T10:00:00+01:00", "2025-01-01T10:00:00-05:00"])
def test_scores_of_any_instant_are_missing_in_chinese(at):
    with use_language(CHINESE):
        said = translate_text(f"scores of {at}: run `lifecycle score --as-of {at}`")
    assert said.count(at) == 2
    assert "评分" in said


@pytest.mark.parametrize("reason", sorted(rules_of_contract() - {"naive"}))
def test_every_rule_that_rows_break_has_its_chinese(reason):
    with use_language(CHINESE):
        said = translate_text(reason)
    assert re.search("[\u4e00-\u9fff]", said)
    for column in sorted({name for table in ALL_TABLES.values() for name in table.names}):
        if reason.startswith(f"{column}_") and reason not in ALLOWED:
            assert column in said


@pytest.mark.parametrize(
    "word",
    [
        *STAGES,
        *SEGMENT_NAMES,
        *DEPTHS,
        *CURRY_TIERS,
        *(STALE, FRESH, NOT_KNOWN),
        *(PASSES, REFUSED, NOT_JUDGED),
        *("train", "evaluate", "later"),
        *(name for name in (OURS, *SIMPLE_TO_COMPLEX) if not name.startswith(OF_STAGES)),
        *("all", "(unknown)", "(not known)", "(none)", "(others)"),
    ],
)
def test_every_word_that_a_table_can_have_is_in_the_catalogue(word):
    assert CATALOGUE.get(word, TERM)
