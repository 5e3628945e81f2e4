"""`--set KEY=VALUE`: settings other than in the file, validated like the file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lifecycle as lc
from features.core import errors
from features.core.setting_changes import change_mapping, change_text, read_changes
from features.core.settings import load_settings
from tests.support.command_line import run_here


@pytest.fixture
def config(shop):
    return shop[0] / "lifecycle.toml"


def test_a_change_is_what_the_file_would_say(config, tmp_path):
    changes = ["churn.horizon_days=45", "business.zone=Europe/Berlin", "training.trials = 3"]
    changed = load_settings(config, read_changes(changes))
    assert (changed.churn.horizon_days, changed.zone, changed.training.trials) == (
        45,
        "Europe/Berlin",
        3,
    )
    assert changed.features == load_settings(config).features
    assert changed.folder == load_settings(config).folder
    python = lc.open(config, changes={"churn.horizon_days": 45}).settings
    assert python.churn.horizon_days == 45


def test_a_later_change_wins_and_the_file_stays(config):
    before = config.read_bytes()
    changed = load_settings(
        config, read_changes(["churn.horizon_days=45", "churn.horizon_days=50"])
    )
    assert changed.churn.horizon_days == 50
    assert config.read_bytes() == before


def test_the_commands_take_it(config):
    ended = run_here("check", "-c", config, "--set", "churn.eligible_days=33", "--json")
    assert ended.returncode == 0
    refused = run_here("check", "-c", config, "--set", "churn.horizon_dais=33")
    assert refused.returncode == 2
    assert "lifecycle.toml with --set [churn.horizon_dais]" in refused.stderr
    assert "horizon_days" in refused.stderr
    assert json.loads(ended.stdout)["customers"] > 0


@pytest.mark.parametrize(
    "text", ["churn.horizon_days", "=3", ".=3", "churn.=3", "churn..horizon_days=3", ""]
)
def test_what_is_no_change_is_refused(text):
    with pytest.raises(errors.BadSetting, match="KEY=VALUE"):
        read_changes([text])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("churn.horizon_days=many", r"\[churn.horizon_days\]"),
        ("churn.horizon_days=-1", r"\[churn.horizon_days\]"),
        ("churn=3", r"\[churn\]"),
        ("tables.orders=SELECT 1", r"\[tables.orders\]"),
    ],
)
def test_a_change_is_validated_like_the_file(config, change, where):
    with pytest.raises(errors.UsageError, match=where):
        load_settings(config, read_changes([change]))


def test_a_key_below_a_value_is_refused():
    with pytest.raises(errors.BadSetting, match="below horizon_days"):
        change_mapping({"churn": {"horizon_days": 90}}, {"churn.horizon_days.least": 3})


@given(st.text(max_size=30))
def test_any_text_is_a_value_and_never_a_further_key(text):
    changes = read_changes([f"business.name={text}"])
    assert list(changes) == ["business.name"]


VALUES = st.recursive(
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_change_is_written_as_it_is_read(value):
    assert read_changes([change_text("a.b", value)]) == {"a.b": value}


def test_values_are_read_as_in_the_file():
    texts = ["a=true", 'b="x = 1"', "c=[1, 2]", "d={ x = 1 }", "e= 2024 ", "f=a\nb=1", "g=1.5"]
    assert read_changes(texts) == {
        "a": True,
        "b": "x = 1",
        "c": [1, 2],
        "d": {"x": 1},
        "e": 2024,
        "f": "a\nb=1",
        "g": 1.5,
    }


@pytest.mark.parametrize("day", ["2024-05-01", "2024-05-01T06:00:00", '"2024-05-01"'])
def test_a_day_is_the_text_that_it_is_in_the_file(config, day):
    changed = load_settings(config, read_changes([f"contract.data_until={day}"]))
    assert changed.contract.data_until == day.strip('"')
