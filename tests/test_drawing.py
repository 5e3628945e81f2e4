"""Pictures: laws of scales, and texts that fit and cannot break out of their picture."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.drawing.bars import Row, draw_bars, draw_intervals
from serving.drawing.canvas import WIDTH, Cell, Value, shorten, text_width
from serving.drawing.columns import Column, draw_columns
from serving.drawing.lines import Line, Point, draw_lines
from serving.drawing.matrix import draw_matrix
from serving.drawing.scale import Scale, round_step, scale_for
from tests.support.page_numbers import check_picture

numbers = st.floats(-1e9, 1e9, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
shares = st.floats(0, 1)


def values(column: list[float]) -> tuple[dict[str, pa.Table], list[Value]]:
    """A table `t` with one column `v`, and its values as they are drawn."""
    table = pa.table({"v": pa.array(column, pa.float64())})
    return {"t": table}, [
        Value(number, Cell("t", row, "v"), f"{number:.2f}") for row, number in enumerate(column)
    ]


@given(st.lists(numbers, min_size=1, max_size=30), st.booleans())
def test_a_scale_holds_all_values(column, from_zero):
    scale = scale_for(column, 100, 500, from_zero=from_zero)
    assert scale.low < scale.high
    hair = 1e-6 * (scale.high - scale.low)
    assert scale.low - hair <= min(column) <= max(column) <= scale.high + hair
    if from_zero:
        assert scale.low <= 0 <= scale.high


@given(numbers, numbers)
def test_places_keep_the_order_of_values(one, other):
    scale = Scale(-1e9, 1e9, 0, 480)
    if one <= other:
        assert scale.place(one) <= scale.place(other)
    assert scale.length(one) == pytest.approx(scale.length(-one), abs=1e-6)


@given(st.floats(1e-9, 1e12))
def test_a_step_is_one_two_or_five_times_a_power_of_ten(span):
    step = round_step(span)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - each) for each in (1, 2, 5, 10)) < 1e-6
    assert span / step <= 5.0001


def test_without_values_there_is_a_scale():
    assert scale_for([], 0, 10) == Scale(0.0, 1.0, 0, 10)
    assert scale_for([float("nan"), float("inf")], 0, 10).high == 1.0
    flat = scale_for([3.0, 3.0], 0, 10, from_zero=False)
    assert flat.low < flat.high


@given(st.lists(numbers, min_size=1, max_size=12))
def test_bars_are_as_long_as_their_values(column):
    tables, drawn = values(column)
    rows = [Row(f"row {place}", value) for place, value in enumerate(drawn)]
    svg = ET.fromstring(draw_bars("bars", rows, lambda x: f"{x:.9f}").markup())
    assert check_picture(svg, tables) == len(column)


@given(st.lists(st.tuples(shares, shares, shares), min_size=1, max_size=8))
def test_intervals_lie_where_their_ends_are(rows):
    column = [end for low, middle, high in rows for end in sorted((low, middle, high))]
    tables, drawn = values(column)
    dots = [
        Row(f"r{at}", drawn[at + 1], drawn[at], drawn[at + 2]) for at in range(0, len(column), 3)
    ]
    canvas = draw_intervals("dots", dots, lambda x: f"{x:.15f}", at=drawn[0])
    assert check_picture(ET.fromstring(canvas.markup()), tables) == len(column)


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=12))
def test_columns_add_up_from_zero(rows):
    tables, drawn = values([part for row in rows for part in row])
    columns = [Column(str(at), drawn[3 * at : 3 * at + 3]) for at in range(len(rows))]
    legend = [("a", "one"), ("b", "two"), ("c", "three")]
    svg = ET.fromstring(draw_columns("c", columns, legend, lambda x: f"{x:.9f}").markup())
    assert check_picture(svg, tables) == sum(value.number != 0 for value in drawn)


def test_a_missing_part_is_no_column():
    column = Column("x", [None, None])
    svg = ET.fromstring(draw_columns("c", [column], [("a", "1"), ("b", "2")], str).markup())
    assert check_picture(svg, {}) == 0


@given(st.lists(st.tuples(st.floats(0, 365), shares), min_size=1, max_size=20))
def test_points_lie_where_both_values_say(points):
    table = pa.table({"x": [x for x, _ in points], "v": [y for _, y in points]})
    line = Line(
        "line",
        "series-1",
        [
            Point(x, Value(y, Cell("t", row, "v"), f"{y:.2f}"), "x")
            for row, (x, y) in enumerate(points)
        ],
    )
    canvas = draw_lines(
        "lines", [line, line], str, write_x=lambda x: f"{x:.15f}", x_name="days", even=True
    )
    svg = ET.fromstring(canvas.markup())
    for tick in svg.iter():
        tick.attrib.pop("data-tick", None)
    assert check_picture(svg, {"t": table}) == 2 * len(points)


@given(st.lists(st.integers(0, 10_000), min_size=4, max_size=4), st.sampled_from([0.5, 1.0]))
def test_a_box_is_as_strong_as_its_share_of_the_largest(column, power):
    tables, drawn = values([float(number) for number in column])
    places = {(at // 2, at % 2): value for at, value in enumerate(drawn) if value.number}
    canvas = draw_matrix(
        "matrix", ["a", "b"], ["c", "d"], places, row_name="from", column_name="to", power=power
    )
    assert check_picture(ET.fromstring(canvas.markup()), tables) == len(places)


@given(st.text(), st.floats(20, 400))
def test_a_text_is_cut_to_its_room_and_not_further(text, room):
    short = shorten(text, room)
    assert short == text or (short.endswith("…") and text_width(short) <= room + 14)
    assert text_width(text) > room or short == text


# What XML 1.0 cannot hold is not drawn, and stops no page.
@given(st.text())
def test_any_label_gives_a_whole_picture(label):
    _, drawn = values([1.0])
    markup = draw_bars(label, [Row(label, drawn[0], note=label)], str).markup()
    svg = ET.fromstring(markup)
    assert float(svg.get("viewBox").split()[2]) == WIDTH
    assert not [each for each in svg.iter() if each.tag in ("script", "image", "foreignObject")]
