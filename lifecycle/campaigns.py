"""Campaigns of an opened business, in Python: decide, measure, learn whom an action moves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lifecycle.arguments import AsOf, read_path
from lifecycle.commands import decide as decisions
from lifecycle.commands.decide_rules import read_rules
from lifecycle.commands.decision import answer_of
from lifecycle.commands.loop import campaign_loops
from lifecycle.commands.loop_text import loop_text
from lifecycle.commands.measure import learn_effects, measure_campaign, rejected_rows
from lifecycle.opened import Opened, one_at_a_time
from lifecycle.results import Report


class Campaigns(Opened):
    """The part of a business that is about campaigns."""

    @one_at_a_time
    def decide(
        self,
        campaign: str,
        *,
        out: str | Path,
        as_of: AsOf | None = None,
        budget: float | None = None,
        capacity: Mapping[str, int] | None = None,
    ) -> Report:
        """Choose who gets which of [actions], within a budget and capacities, and who is held out.

        By the scores of `as_of` (default: the local midnight right after the data). Writes
        contacts, let_go and treatments into the folder `out`, and keeps the campaign in the home
        folder, where `measure` finds it. `capacity`: the most customers by channel. Returns counts
        and money. Errors: NotEnoughData without scores of the day; BadSetting without actions, and
        for a campaign that was decided otherwise; StoreFailed.

        >>> shop.decide("spring", out=folder / "spring", budget=500)  # doctest: +SKIP
        """
        rules = read_rules(self.settings, campaign, budget=budget, capacity=dict(capacity or {}))
        at = None if as_of is None else self._instants(as_of)[0]
        folder = read_path(out, where="out")
        decision = decisions.decide_campaign(self.history, self.settings, rules, at, folder)
        return Report(*answer_of(decision, rejected_rows(self._counts)))

    @one_at_a_time
    def measure(self, campaign: str, *, margin: float | None = None) -> Report:
        """What a campaign changed, beside the customers who were held out of it.

        `verdict` is effect, harm, no effect or not enough data. `margin`: a difference in the share
        kept that would not matter. Errors: BadSetting for a campaign that nobody decided, and for
        arms that were not drawn; NotEnoughData without a hold-out or complete outcomes.

        >>> shop.measure("trial")["verdict"]  # doctest: +SKIP
        'not enough data'
        """
        rejected = rejected_rows(self._counts)
        return Report(
            *measure_campaign(self.history, self.settings, campaign, margin, rejected=rejected)
        )

    @one_at_a_time
    def loop(self) -> Report:
        """Each campaign from its scores to the next release: `campaigns`, with each link's state.

        A state is done, open or broken. Errors: NotEnoughData without any campaign.

        >>> shop.loop()["campaigns"][0]["outcomes"]["state"]  # doctest: +SKIP
        'done'
        """
        loops = campaign_loops(self.history, self.settings)
        return Report({"campaigns": [each.report() for each in loops]}, loop_text(loops))

    @one_at_a_time
    def uplift(self, campaign: str) -> Report:
        """Learn whom each action of a campaign moves, and whether to send by it.

        From the scores of the day it was decided. What is better than sending by risk is used by
        `decide` from then on. Errors: NotEnoughData; BadSetting for arms that were not drawn.

        >>> shop.uplift("trial")["served"]  # doctest: +SKIP
        ['call']
        """
        return Report(*learn_effects(self.history, self.settings, campaign))
