"""Calibration keeps the order, changes nothing without reason, and is chosen on earlier dates
alone.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from serving.scoring.calibration import KINDS, Calibration
from serving.scoring.parts import sigmoid
from training import metrics
from training.models import fit_calibration

WINDOW = 60
NUMBERS = st.floats(-1e3, 1e3)
SLOPES = st.floats(0.05, 5)
RISES = st.lists(st.tuples(st.floats(0.01, 3), st.floats(0.01, 3)), min_size=1, max_size=8)


@st.composite
def calibrations(draw):
    kind = draw(st.sampled_from(KINDS))
    low, high, shift = draw(SLOPES), draw(SLOPES), draw(st.floats(-5, 5))
    if kind == "isotonic":
        knots, heights = (np.cumsum(line) - 5 for line in zip(*draw(RISES), strict=True))
        return Calibration(kind, low, high, shift, tuple(knots), tuple(heights))
    if kind == "beta":
        return Calibration(kind, low, high, shift)
    return Calibration(kind, low, low, shift) if kind == "platt" else Calibration()


@given(calibrations(), st.lists(NUMBERS, min_size=1, max_size=30))
@how(max_examples=150, deadline=None)
def test_every_kind_keeps_the_order_and_one_row_is_as_among_many(found, margins):
    margins = np.sort(np.array(margins))
    said, p = found.log_odds(margins), found.p(margins)
    assert np.isfinite(said).all()
    assert ((p >= 0) & (p <= 1)).all()
    gap = np.diff(margins)
    assert (np.diff(said) >= 0.9 * min(found.low, found.high, *_rises(found)) * gap - 1e-9).all()
    assert (np.diff(p) >= -1e-15).all()
    alone = [
        (found.log_odds(margins[at : at + 1])[0], found.p(margins[at : at + 1])[0])
        for at in range(len(margins))
    ]
    assert alone == list(zip(said, p, strict=True))
    assert found.slope > 0


def _rises(found):
    return np.diff(found.heights) / np.diff(found.knots) if len(found.knots) > 1 else [found.low]


@given(calibrations(), st.lists(NUMBERS, min_size=1, max_size=10))
@how(max_examples=60, deadline=None)
def test_what_a_release_keeps_gives_the_same_bits(found, margins):
    again = Calibration.from_mapping(json.loads(json.dumps(found.to_mapping(), allow_nan=False)))
    assert again == found
    assert np.array_equal(again.p(np.array(margins)), found.p(np.array(margins)))


@pytest.mark.parametrize(
    "numbers",
    [
        ("sigmoid",),
        ("platt", 0.0, 0.0),
        ("platt", -1.0, -1.0),
        ("platt", 1.0, 2.0),
        ("beta", 1.0, -0.1),
        ("beta", 1.0, float("nan")),
        ("beta", 1.0, 1.0, float("inf")),
        ("isotonic",),
        ("none", 1.0, 1.0, 0.0, (0.0,), (0.0,)),
        ("isotonic", 1.0, 1.0, 0.0, (0.0, 1.0), (0.0, 0.0)),
        ("isotonic", 1.0, 1.0, 0.0, (1.0, 0.0), (0.0, 1.0)),
        ("isotonic", 1.0, 1.0, 0.0, (0.0, 1.0), (0.0,)),
    ],
)
def test_numbers_that_do_not_rise_are_no_calibration(numbers):
    with pytest.raises(ValueError, match="increasing"):
        Calibration(*numbers)


def test_none_changes_nothing():
    margin = np.random.default_rng(0).normal(0, 5, 100)
    assert np.array_equal(Calibration().log_odds(margin), margin)
    assert np.array_equal(Calibration().p(margin), sigmoid(margin))
    assert Calibration().slope == 1


def world(bend, *, rows=4000, dates=1, seed=0, spread=1.5):
    """Margins, outcomes, instants and customers; `bend(margin, date)` is the log-odds of what
    happens.
    """
    rng = np.random.default_rng(seed)
    at = np.repeat(np.arange(dates), rows)
    margin = rng.normal(0, spread, rows * dates)
    return (
        margin,
        rng.random(len(margin)) < sigmoid(bend(margin, at)),
        at * WINDOW,
        np.tile(np.arange(rows), dates),
    )


def truly(margin, at):
    return margin


def shifted(margin, at):
    return 0.8 * margin + 0.6


def bent(margin, at):
    return np.clip(3 * margin, -1.2, 1.2)


def lopsided(margin, at):
    return 0.3 - 0.6 * np.logaddexp(0, -margin) + 1.6 * np.logaddexp(0, margin)


def ece_after(found, bend):
    margin, y, *_ = world(bend, rows=40_000, seed=99)
    return metrics.ece(y, found.p(margin))


def test_platt_mends_a_shifted_world_beta_a_lopsided_and_isotonic_a_bent_one():
    mended = {}
    for bend in (shifted, lopsided, bent):
        margin, y, *_ = world(bend, rows=20_000)
        mended[bend] = {
            kind: ece_after(fit_calibration.fit_kind(margin, y, kind=kind), bend) for kind in KINDS
        }
    assert mended[shifted]["none"] > 0.08
    assert max(mended[shifted][kind] for kind in ("platt", "beta", "isotonic")) < 0.015
    assert mended[lopsided]["platt"] > 2 * mended[lopsided]["beta"]
    assert mended[lopsided]["beta"] < 0.015
    assert (
        min(mended[bent][kind] for kind in ("none", "platt", "beta")) > 2 * mended[bent]["isotonic"]
    )
    assert mended[bent]["isotonic"] < 0.02


def test_beta_and_platt_find_the_numbers_they_were_drawn_with():
    margin, y, *_ = world(lopsided, rows=60_000, spread=2.5)
    found = fit_calibration.fit_kind(margin, y, kind="beta")
    assert (found.low, found.high, found.shift) == tuple(
        pytest.approx(x, abs=0.06) for x in (0.6, 1.6, 0.3)
    )
    margin, y, *_ = world(shifted, rows=60_000)
    found = fit_calibration.fit_kind(margin, y, kind="platt")
    assert (found.low, found.high, found.shift) == tuple(
        pytest.approx(x, abs=0.04) for x in (0.8, 0.8, 0.6)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_move_a_score_little(kind):
    margin, y, *_ = world(shifted, rows=8)
    far = fit_calibration.fit_kind(margin, y, kind=kind).p(np.linspace(-3, 3, 13)) - sigmoid(
        np.linspace(-3, 3, 13)
    )
    assert abs(far).max() < 0.2


def test_isotonic_needs_rows_of_both_outcomes():
    margin, y, *_ = world(truly, rows=1000)
    assert fit_calibration.fit_kind(margin, y, kind="isotonic").kind == "isotonic"
    assert len(fit_calibration.fit_kind(margin, y, kind="isotonic").knots) <= 10
    assert fit_calibration.fit_kind(margin[1:], y[1:], kind="isotonic").kind == "platt"
    rare = np.arange(1000) < 99
    assert fit_calibration.fit_kind(margin, rare, kind="isotonic").kind == "platt"


BAD = {
    "no row": (np.zeros(0), np.zeros(0, bool)),
    "one row": (np.array([0.3]), np.array([True])),
    "one outcome": (np.linspace(-1, 1, 2000), np.zeros(2000, bool)),
    "equal margins": (np.full(2000, 0.7), np.arange(2000) % 3 == 0),
    "two margins": (np.repeat([0.0, 1e-17], 1000), np.arange(2000) % 3 == 0),
    "huge margins": (np.linspace(-1e6, 1e6, 2000), np.arange(2000) % 3 == 0),
    "huge and right": (np.linspace(-1e4, 1e4, 2000), np.arange(2000) >= 1000),
    "the wrong way": (np.linspace(-3, 3, 2000), np.arange(2000) < 1000),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_a_calibration_that_rises(kind, name):
    margin, y = BAD[name]
    found = fit_calibration.fit_kind(margin, y, kind=kind)
    assert found.kind == (kind if y.any() and not y.all() else "none")
    said = found.log_odds(np.array([-1e6, -10.0, 0.0, 10.0, 1e6]))
    assert np.isfinite(said).all()
    assert (np.diff(said) > 0).all()
    assert ((found.p(margin) >= 0) & (found.p(margin) <= 1)).all()
    assert (
        fit_calibration.fit_calibration(
            margin, y, np.zeros(len(y), int), np.arange(len(y)), window=WINDOW
        ).slope
        > 0
    )


@pytest.mark.parametrize(
    ("bend", "kind"), [(truly, "none"), (shifted, "platt"), (lopsided, "beta"), (bent, "isotonic")]
)
def test_the_kind_that_loses_least_later_is_chosen_and_of_equals_the_simplest(bend, kind):
    found = fit_calibration.fit_calibration(*world(bend, dates=5), window=WINDOW)
    assert found.kind == kind
    assert found.note.startswith(f"{kind}: ")
    assert "log loss at 3 later dates" in found.note
    assert all(f"{other} 0." in found.note for other in KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bend", [shifted, lopsided, bent])
def test_the_level_of_a_fit_is_taken_halfway_and_its_shape_whole(kind, bend):
    margin, y, *_ = world(bend)
    found = fit_calibration.fit_kind(margin, y, kind=kind)
    taken = fit_calibration.halve_level(found, margin)
    moved = taken.log_odds(margin) - found.log_odds(margin)
    assert np.ptp(moved) < 1e-12
    rest = replace(
        taken, shift=taken.shift + moved[0]
    )  # as far again: nothing of the level is left
    assert rest.p(margin).mean() == pytest.approx(sigmoid(margin).mean(), abs=1e-9)
    assert fit_calibration.halve_level(found, margin[::-1]) == taken
    assert fit_calibration.halve_level(Calibration(), margin) == Calibration()


def test_a_model_that_is_too_bold_is_mended_in_full_and_one_at_another_level_by_half():
    margin, y, *_ = world(lambda z, at: 0.5 * z, rows=20_000)
    taken = fit_calibration.halve_level(fit_calibration.fit_kind(margin, y), margin)
    assert taken.slope == pytest.approx(0.5, abs=0.03)
    margin, y, *_ = world(lambda z, at: z + 1, rows=20_000)
    taken = fit_calibration.halve_level(fit_calibration.fit_kind(margin, y), margin)
    assert taken.shift == pytest.approx(0.5, abs=0.05)


def test_the_newest_date_is_fitted_and_never_chosen_by():
    margin, y, at, customers = world(bent, dates=4)
    otherwise = np.where(at == at.max(), ~y, y)
    chosen = fit_calibration.choose_kind(margin, y, at, customers, window=WINDOW)
    assert fit_calibration.choose_kind(margin, otherwise, at, customers, window=WINDOW) == chosen
    assert (
        fit_calibration.choose_kind(
            np.where(at == at.max(), 0.0, margin), y, at, customers, window=WINDOW
        )
        == chosen
    )
    one, other = (
        fit_calibration.fit_calibration(margin, labels, at, customers, window=WINDOW)
        for labels in (y, otherwise)
    )
    assert one.note == other.note
    assert one != other
    newest = at == at.max()
    assert one == fit_calibration.halve_level(
        fit_calibration.fit_kind(margin[newest], y[newest], kind=chosen[0]), margin[newest]
    )


def test_kinds_are_fitted_only_where_the_window_had_closed():
    margin, y, at, customers = world(truly, dates=4)
    wide = fit_calibration.choose_kind(margin, y, at, customers, window=2 * WINDOW)[1]
    assert "at 1 later date " in wide
    # Of the three earlier dates the last is judged, the first fitted; the one between has an open
    # window.
    between = at == WINDOW
    assert (
        fit_calibration.choose_kind(
            margin, np.where(between, ~y, y), at, customers, window=2 * WINDOW
        )[1]
        == wide
    )
    assert (
        fit_calibration.choose_kind(
            margin, np.where(at == 0, ~y, y), at, customers, window=2 * WINDOW
        )[1]
        != wide
    )


@pytest.mark.parametrize("dates", [1, 2])
def test_with_too_few_dates_it_is_platt_and_says_so(dates):
    found = fit_calibration.fit_calibration(*world(bent, dates=dates), window=WINDOW)
    assert found.kind == "platt"
    assert "could not be compared" in found.note


def test_a_newest_date_too_small_for_the_kind_says_what_was_taken():
    margin, y, at, customers = world(bent, dates=4)
    kept = (at < at.max()) | (customers < 500)
    found = fit_calibration.fit_calibration(
        margin[kept], y[kept], at[kept], customers[kept], window=WINDOW
    )
    assert found.kind == "platt"
    assert found.note.startswith(
        "platt: too few rows or one outcome at the newest date for isotonic"
    )
    none = fit_calibration.fit_calibration(
        margin, y & (at < at.max()), at, customers, window=WINDOW
    )
    assert none == Calibration()
    assert none.note.startswith("none: too few rows or one outcome")


def test_one_customer_s_many_rows_are_one_voice():
    """Twenty customers of 150 rows each: among rows the difference is far beyond chance, among
    customers it is not.
    """
    each = np.repeat(np.linspace(-0.17, 0.19, 20), 150)
    assert fit_calibration._no_worse(each, np.repeat(np.arange(20), 150))
    assert not fit_calibration._no_worse(each, np.arange(3000))
    assert not fit_calibration._no_worse(each + 0.05, np.repeat(np.arange(20), 150))


@pytest.mark.parametrize("bend", [shifted, lopsided, bent])
def test_no_number_depends_on_the_order_of_rows(bend):
    made = world(bend, dates=4, rows=1500)
    dealt = np.random.default_rng(1).permutation(len(made[0]))
    one = fit_calibration.fit_calibration(*made, window=WINDOW)
    other = fit_calibration.fit_calibration(*(part[dealt] for part in made), window=WINDOW)
    assert (one, one.note) == (other, other.note)
    assert replace(one, note="") == one
