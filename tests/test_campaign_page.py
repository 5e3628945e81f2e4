"""docs/campaigns.md: its configurations are ones, and its words are those of the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from features.core.action_schema import Action, Decisions
from features.core.condition import FIELDS

PAGE = (Path(__file__).parents[1] / "docs" / "campaigns.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_configuration_of_the_page_is_one(block):
    read = tomllib.loads(block)
    assert [Action.model_validate(each) for each in read["actions"].values()]
    Decisions.model_validate(read.get("decisions", {}))


def test_every_word_of_a_condition_is_on_the_page():
    table = PAGE[PAGE.index("## Conditions") : PAGE.index("## What an action")]
    assert {word for word in FIELDS if f"`{word}`" not in table} == set()
