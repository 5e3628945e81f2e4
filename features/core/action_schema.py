"""`[actions.<name>]` and `[decisions]`: what may be done, for whom, and what it costs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.core.condition import parse_condition
from features.core.config_schema import Section

MAX_ACTIONS = 20
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
Money = Annotated[float, Field(ge=0, le=1e9)]
Capacity = Annotated[int, Field(ge=0, le=10**9)]
Share = Annotated[float, Field(ge=0, le=1)]


class Acceptance(BaseModel):
    """The share of those who would leave and whom the action keeps.

    n: on how many of them it was measured; None for a guess.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: Share
    n: Annotated[int, Field(ge=1, le=10**9)] | None = None


class Action(Section):
    """What may be done for customers of a condition."""

    when: str = ""
    """For whom: a condition such as `stage in (at_risk, dormant) and risk >= 0.3`. Empty: anybody.
    [Campaigns](campaigns.md#conditions) has its words.
    """
    channel: str = Field(min_length=1, max_length=100)
    """How customers are reached, such as `email` or `phone`; capacities are given by channel."""
    contact_cost: Money
    """What one contact costs, in units of the currency, whether or not it has an effect."""
    incentive: Money = 0.0
    """What the offer costs when it is taken, such as a discount. Who would have stayed takes it
    too.
    """
    acceptance: Acceptance
    """The share of those who would leave and whom the action keeps: a number is a guess;
    `{ mean = 0.2, n = 150 }` was measured on 150 of them.
    """
    cool_down_days: Annotated[int, Field(ge=0, le=3650)] = 60
    """The days after this action in which a customer does not get it again."""

    @field_validator("acceptance", mode="before")
    @classmethod
    def _read_guess(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"mean": value} if is_number else value

    @field_validator("when")
    @classmethod
    def _check_condition(cls, text: str) -> str:
        parse_condition(text)
        return text


class Decisions(Section):
    hold_out: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """The share of the chosen customers who are not contacted, so that the effect can be measured.
    More are held out where `detectable_effect` needs them. 0: none, and no effect is ever known.
    """
    detectable_effect: Annotated[float, Field(ge=0.001, le=1)] | None = None
    """The difference in the share of customers kept that the hold-out is to show in 8 of 10 such
    campaigns, such as 0.05. If not set: the share `hold_out` alone counts.
    """
    contact_days: Annotated[int, Field(ge=0, le=3650)] = 14
    """The days after any contact of a campaign in which a customer is not contacted again."""
    budget: Money | None = None
    """The money that one campaign may spend; `lifecycle decide --budget` has precedence."""
    capacity: dict[str, Capacity] = Field(default_factory=dict)
    """The most customers that a channel can reach in one campaign, such as `{ phone = 200 }`."""


def check_action_names(actions: dict[str, Action]) -> dict[str, Action]:
    """ValueError for names that files and columns cannot have, and for too many."""
    if len(actions) > MAX_ACTIONS:
        raise ValueError(f"at most {MAX_ACTIONS} actions; these are {len(actions)}")
    for name in actions:
        if NAME.fullmatch(name) is None:
            raise ValueError("the name of an action has small letters, digits and _, at most 40")
    return actions
