"""A body is strict JSON: what Python would let pass is refused, what is JSON is read as it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.errors import Malformed
from serving.api import strict

quick = settings(max_examples=100, deadline=None)
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("NaN", "finite"),
        ("[Infinity]", "finite"),
        ('{"a": -Infinity}', "finite"),
        ('{"a": 1, "a": 1}', "once"),
        ('[{"b": [{"a": 1, "\\u0061": 2}]}]', "once"),
        ("", "JSON object"),
        ("\ufeff{}", "JSON object"),
        ("01", "JSON object"),
        ("[1,]", "JSON object"),
        ("'a'", "JSON object"),
        ("9" * 4301, "JSON object"),
        ("{}\0", "JSON object"),
        ("[" * 10_000, "deep"),
        ('{"a":' * 10_000, "deep"),
        (json.dumps({str(n): 1 for n in range(101)}), "at most 100 keys"),
    ],
)
def test_what_python_would_let_pass_is_refused(text, rule):
    with pytest.raises(Malformed, match=rule):
        strict.read_json(text.encode())


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(letters),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(letters), inner),
        max_leaves=20,
    )
)
@quick
def test_what_is_json_is_read_as_it_is(value):
    assert strict.read_json(json.dumps(value).encode()) == value
    assert strict.read_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b'"\xc3\x28"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        '{"a": "é"}'.encode("utf-16"),
        '"é"'.encode("latin-1"),
    ],
)
def test_bytes_that_are_no_utf8_are_refused(body):
    with pytest.raises(Malformed, match="UTF-8"):
        strict.read_json(body)
