"""Who is held out: a draw that can be repeated, by strata, large enough for the effect."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.decisions.hold_out import (
    LEAST,
    detectable_difference,
    draw_hold_out,
    merge_strata,
    needed_customers,
    needed_hold_out,
)

IDS = [f"{number:05d}" for number in range(300)]
STRATA = ["loyal"] * 150 + ["new"] * 120 + ["dormant"] * 23 + ["growing"] * 7


def draw(campaign="spring", ids=IDS, strata=STRATA, share=0.1):
    return draw_hold_out(campaign, ids, strata, share=share, risk=0.3)


def test_those_with_the_smallest_numbers_are_held_out():
    drawn = draw()
    for stratum in set(drawn.strata):
        of_stratum = [at for at, name in enumerate(drawn.strata) if name == stratum]
        numbers = {
            at: hashlib.blake2b(f"spring\0{IDS[at]}".encode(), digest_size=8).digest()
            for at in of_stratum
        }
        count = math.ceil(0.1 * len(of_stratum))
        expected = set(sorted(of_stratum, key=numbers.__getitem__)[:count])
        assert {at for at in of_stratum if drawn.held_out[at]} == expected


def test_another_campaign_draws_others():
    same = draw().held_out & draw("summer").held_out
    assert 0 < same.sum() < draw().held_out.sum()


@given(st.permutations(range(60)))
def test_the_order_of_the_customers_changes_nothing(places):
    ids, strata = IDS[140:200], STRATA[140:200]
    held = {ids[at] for at in np.flatnonzero(draw(ids=ids, strata=strata).held_out)}
    moved = [ids[at] for at in places], [strata[at] for at in places]
    again = draw(ids=moved[0], strata=moved[1]).held_out
    assert {moved[0][at] for at in np.flatnonzero(again)} == held


@given(st.lists(st.sampled_from("abcdefgh"), max_size=80))
def test_no_stratum_is_smaller_than_the_least_unless_all_are(strata):
    merged = merge_strata(strata)
    sizes = {name: merged.count(name) for name in set(merged)}
    assert len(merged) == len(strata)
    assert len(sizes) <= 1 or min(sizes.values()) >= LEAST


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5])
def test_at_least_the_share_of_every_stratum_is_held_out(share):
    drawn = draw(share=share)
    for stratum in set(drawn.strata):
        inside = np.array([name == stratum for name in drawn.strata])
        held = int(drawn.held_out[inside].sum())
        assert share * inside.sum() <= held < share * inside.sum() + 1


def test_nobody_is_drawn_from_nobody():
    drawn = draw(ids=[], strata=[])
    assert not len(drawn.held_out)
    assert math.isnan(drawn.detectable)


@given(st.integers(10, 3_000), st.floats(0.01, 0.99), st.floats(0.005, 0.5))
def test_the_needed_hold_out_shows_the_difference_and_one_less_does_not(chosen, risk, difference):
    needed = needed_hold_out(chosen, risk=risk, difference=difference)
    shown = [
        detectable_difference(chosen - count, count, risk=risk) <= difference * (1 + 1e-9)
        for count in range(1, chosen // 2 + 1)
    ]
    assert shown.index(True) + 1 == needed if any(shown) else needed in (None, chosen // 2 + 1)


def test_the_detectable_difference_is_found_in_eight_of_ten_campaigns():
    rng, risk = np.random.default_rng(5), 0.3
    difference = detectable_difference(900, 300, risk=risk)
    kept = rng.binomial(900, 0.7 + difference / 2, 4000) / 900
    left_alone = rng.binomial(300, 0.7 - difference / 2, 4000) / 300
    error = np.sqrt(kept * (1 - kept) / 900 + left_alone * (1 - left_alone) / 300)
    assert (np.abs(kept - left_alone) > 1.96 * error).mean() == pytest.approx(0.8, abs=0.03)


def test_how_many_a_campaign_needs_at_all():
    needed = needed_customers(risk=0.3, difference=0.05)
    half = needed // 2
    assert detectable_difference(half, half, risk=0.3) == pytest.approx(0.05, rel=0.01)
