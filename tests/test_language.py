"""Two languages: what is said is in the catalogue, with its values, and nothing else changes."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.extract import extract_from_dir
from hypothesis import given
from hypothesis import strategies as st

from features.core import language
from features.core.errors import BadSetting
from features.core.language import (
    CHINESE,
    ENGLISH,
    REASON,
    TERM,
    TEXT,
    catalogue,
    use_language,
)
from features.recipes.stages import STAGES

ROOT = Path(language.__file__).parents[2]
CATALOGUE = catalogue(CHINESE)
# The functions whose first argument is a message.
MARKS = ("say", "mark", "sentence")
FOLDERS = ("features", "serving", "training", "lifecycle")


def messages() -> set[tuple[str, str | None]]:
    """Every message of the code and of the templates, with its context."""
    result = set()
    for folder in FOLDERS:
        for _, _, message, _, _ in extract_from_dir(
            ROOT / folder,
            method_map=[("**.py", "python"), ("**.j2", "jinja2.ext:babel_extract")],
            options_map={"**.j2": {"extensions": "", "silent": "false"}},
            keywords=dict.fromkeys(MARKS),
        ):
            result.add((message if isinstance(message, str) else message[0], None))
    return result


def calls() -> set[str]:
    """The messages of all calls of MARKS, wherever they stand."""
    return {
        node.args[0].value
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in MARKS
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def places(text: str, context: str | None = None) -> set[str]:
    # A text of a table is not formatted: it may have other braces.
    if context == TEXT:
        return set(re.findall(r"\{\d+\}", text))
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_message_of_the_code_is_in_the_catalogue():
    missing = sorted(text for text, context in messages() if CATALOGUE.get(text, context) is None)
    assert not missing


def test_no_message_hides_in_an_f_string_where_it_is_not_extracted():
    extracted = {text for text, _ in messages()}
    assert not sorted(calls() - extracted)


def test_the_catalogue_has_no_message_that_nobody_says():
    known = messages()
    unused = [
        each.id
        for each in CATALOGUE
        if each.id and each.context is None and (each.id, None) not in known
    ]
    assert not unused


def test_nothing_is_translated_twice():
    text = (Path(language.__file__).parent / "translations/zh.po").read_text(encoding="utf-8")
    parts = re.findall(r'^(msgctxt "[^\n]*"\n)?(msgid (?:"[^\n]*"\n)+)(.*)', text, re.M)
    entries = [(context, message) for context, message, _ in parts]
    assert len(entries) == len(set(entries)) == len({(e.context, e.id) for e in CATALOGUE})
    assert all(translated.startswith("msgstr ") for _, _, translated in parts)


def test_a_translation_is_there_and_has_the_values_of_its_message():
    for each in CATALOGUE:
        if each.id:
            assert each.string.strip(), each.id
            assert places(each.string, each.context) == places(each.id, each.context), each.id
            assert not each.fuzzy, each.id


def test_a_translation_is_chinese():
    alike = [
        each.id
        for each in CATALOGUE
        if each.id and not re.search("[\u4e00-\u9fff]", each.string) and each.string == each.id
    ]
    assert not [text for text in alike if re.search("[a-z]{4}", text)]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_name(stage):
    with use_language(CHINESE):
        assert language.term(stage) != stage
    assert language.term(stage) == stage


def test_what_nobody_has_translated_stays_as_it_is():
    with use_language(CHINESE):
        assert language.say("no such message of {n} words", n=5) == "no such message of 5 words"
        assert language.term("{the} business's own") == "{the} business's own"
        assert language.translate_text("own text of 12 words") == "own text of 12 words"


def test_a_text_of_a_table_keeps_its_numbers():
    text = "customers eligible 63 days before 2024-10-01, at least 1.5 of 100"
    pattern = language.text_pattern(text)
    assert pattern == "customers eligible {0} days before {1}, at least {2} of {3}"


@given(st.text())
def test_any_text_is_said_in_any_language(text):
    for name in language.LANGUAGES:
        with use_language(name):
            assert language.translate_text(text) == text
            assert language.term(text) == text or CATALOGUE.get(text, TERM)


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        (None, ENGLISH),
        ("", ENGLISH),
        ("C.UTF-8", ENGLISH),
        ("en_US.UTF-8", ENGLISH),
        ("zh", CHINESE),
        ("zh_CN.UTF-8", CHINESE),
        ("zh-Hans", CHINESE),
    ],
)
def test_the_language_is_read_as_locales_are_written(variable, name):
    assert language.read_language(variable) == name


def test_a_language_without_a_catalogue_is_refused_by_name():
    with pytest.raises(BadSetting, match="languages are en and zh"):
        language.read_language("fr_FR")


def test_numbers_and_days_are_written_as_people_write_them():
    assert language.day("2025-01-01") == "1 Jan 2025"
    assert language.day("2025-01") == "Jan 2025"
    assert language.number(-1234567.25, 1) == "-1,234,567.2"
    assert language.percent(0.2301) == "23.0%"
    with use_language(CHINESE):
        assert language.day("2025-01-01") == "2025年1月1日"
        assert language.day("2025-01") == "2025年1月"
        assert language.percent(0.2301) == "23.0%"


def test_a_language_ends_where_it_was_begun():
    with pytest.raises(KeyError), use_language(CHINESE):
        raise KeyError
    assert language.current_language() == ENGLISH
    with pytest.raises(ValueError, match="fr"):
        language.set_language("fr")


def test_the_contexts_of_the_catalogue_are_known():
    assert {each.context for each in CATALOGUE if each.id} <= {None, TERM, TEXT, REASON}


def test_a_space_stands_where_chinese_meets_letters_and_digits_and_values_stay_as_they_are():
    with use_language(CHINESE):
        assert language.say("recommended for {model}: {name}", model="流失", name="BG/NBD") == (
            "流失：建议用 BG/NBD"
        )
        assert language.say("  files") == "  文件"
        path = "数据/客户abc.csv"
        assert path in language.say("{out} stays as it is", out=path)
        assert language.join_words(["a", "b"]) == "a、b"
    assert language.join_words(["a", "b"]) == "a, b"
