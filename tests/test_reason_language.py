"""Reasons in Chinese: every sentence of the catalogue, with its numbers; in English nothing."""

from __future__ import annotations

import re

import pytest

from features.core.contract import CONTRACT
from features.core.language import CHINESE, REASON, catalogue, use_language
from features.engine.columns import list_columns
from features.recipes.attributes import Attribute
from serving.scoring.reason_language import reason_templates, say_reason
from serving.scoring.reason_values import describe_value
from tests.support.definitions import definitions_of

NAME = "Größe {cm} (usually big)"
COLUMNS = list_columns(
    definitions_of(
        contractual=True,
        attribute_versions=True,
        attributes=(
            Attribute("plan", "text", True, (("gold", "is_gold"), ("a (b): c", "is_other"))),
            Attribute(NAME, "number", True, (("", "size"),)),
        ),
    ),
    tables=tuple(CONTRACT),
)
VALUES = (0.0, 1.0, 1.4, 0.534, 52.0, 12345.6, -1.25)
# What Chinese writes in Latin letters, and the names of the business above.
LATIN = ("CSAT", "NPS", "plan", "gold", "a (b): c", NAME)


def sentences(column):
    for value in VALUES:
        for usual in (None, 1.0, 2.0):
            for direction in ("raises", "lowers"):
                yield f"{direction} the risk: {describe_value(column, value, usual)}"


def numbers(text):
    return sorted(re.findall(r"[+-]?[\d,.]*\d%?", text))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_reason_is_said_in_chinese_with_its_numbers(column):
    for sentence in sentences(column):
        with use_language(CHINESE):
            translated = say_reason(sentence)
        rest = translated
        for name in LATIN:
            rest = rest.replace(name, "")
        assert not re.search("[A-Za-z]{3}", rest), translated
        assert numbers(translated) == numbers(sentence)
        assert say_reason(sentence) == sentence


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "raises the risk: last contact 52 days ago (usually 2)",
            "推高风险：距最近一次接触 52 天（通常 2）",
        ),
        (
            "lowers the risk: automatic renewal: yes (usually no)",
            "降低风险：自动续约：是（通常 否）",
        ),
        (
            "raises the risk: 1 minute (or page) of use in 1 day (usually 60)",
            "推高风险：1 天内使用 1 分钟（或页）（通常 60）",
        ),
        ("lowers the risk: 4 calls in all recorded time", "降低风险：全部记录期内来电 4 次"),
        (
            "raises the risk: plan is gold (1 yes, 0 no): 1 (usually 0)",
            "推高风险：plan 为 gold（1 是，0 否）：1（通常 0）",
        ),
        # Words of a business's own feature stay; what we put around them is said.
        ("raises the risk: quiet nights 12 (usually 3)", "推高风险：quiet nights 12（通常 3）"),
        ("no reason at all", "no reason at all"),
        ("last contact … days ago", "距最近一次接触 … 天"),
        ("… complaints in 30 days", "30 天内投诉 … 次"),
        ("automatic renewal: …", "自动续约：…"),
        ("", ""),
    ],
)
def test_it_reads_as_people_write(english, chinese):
    with use_language(CHINESE):
        assert say_reason(english) == chinese


def test_every_sentence_of_the_catalogue_has_a_translation_with_its_places():
    def places(text):
        return sorted(re.findall(r"\{[^{}]*\}", text))

    entries = {each.id: each.string for each in catalogue(CHINESE) if each.context == REASON}
    assert set(entries) == set(reason_templates())
    assert all(places(english) == places(chinese) for english, chinese in entries.items())
