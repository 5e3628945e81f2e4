"""Reads a page's numbers back: from its text, and from the geometry of its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest

PICTURE = re.compile(r"<svg .*?</svg>", re.DOTALL)
FIGURE = re.compile(
    r'<data data-table="([^"]+)" data-row="(\d+)" data-column="([^"]+)"'
    r'(?: data-scale="(\d+)")?>(.*?)</data>',
    re.DOTALL,
)
_NUMBER = re.compile(r"-?[\d,]*\.?\d+")
PIXEL = 0.011  # coordinates are written with two digits
Marks = dict[str, Any]


def read_number(text: str) -> tuple[float, float] | None:
    """A number as a page writes it, and half of its last digit; None for what is none."""
    match = _NUMBER.search(text.replace("−", "-"))
    if match is None:
        return None
    digits = match[0].replace(",", "")
    decimals = len(digits.partition(".")[2])
    scale = 100.0 if "%" in text[match.end() : match.end() + 1] else 1.0
    number, half = float(digits) / scale, 0.5000001 * 10.0**-decimals / scale
    # `<1%` is all below it.
    return (number / 2, number / 2) if "<" in text[: match.start()] else (number, half)


def cell(tables: Mapping[str, pa.Table], table: str, row: str | int, column: str) -> Any:
    return tables[table][column][int(row)].as_py()


def check_texts(html: str, tables: Mapping[str, pa.Table]) -> int:
    """Each figure of the text has the number of its cell; how many there are."""
    figures = FIGURE.findall(html)
    for table, row, column, scale, text in figures:
        value = cell(tables, table, row, column)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number, half = read_number(unescape(text))
            shown = value * int(scale or 1)
            assert number == pytest.approx(shown, abs=half, rel=1e-9), (table, row, column, text)
    return len(figures)


def pictures(html: str) -> list[ET.Element]:
    return [ET.fromstring(text) for text in PICTURE.findall(html)]


def check_picture(svg: ET.Element, tables: Mapping[str, pa.Table]) -> int:
    """Each mark is where its number belongs, and each tick where its name says; how many marks."""
    marks = 0
    for element in svg.iter():
        if "data-tick" in element.attrib:
            check_tick(svg, element)
        if "data-axis" in element.attrib:
            check_mark(svg.attrib, element.attrib, tables)
            marks += 1
        elif "data-table" in element.attrib:
            text = "".join(element.itertext())
            number, half = read_number(text)
            at = [element.get(f"data-{name}") for name in ("table", "row", "column")]
            shown = abs(cell(tables, *at)) * int(element.get("data-scale", "1"))
            assert abs(number) == pytest.approx(shown, abs=half), at
    return marks


def check_tick(svg: ET.Element, element: ET.Element) -> None:
    axis, number = element.get("data-tick"), float(element.get("data-number"))
    written, half = read_number(element.text)
    shown = number * int(element.get("data-scale", "1"))
    assert written == pytest.approx(shown, abs=max(half, 1e-9)), element.text
    at = float(element.get("x" if axis == "x" else "y"))
    assert at == pytest.approx(place(svg.get(f"data-{axis}"), number), abs=5 + PIXEL)


def check_mark(axes: Mapping[str, str], mark: Mapping[str, str], tables: Any) -> None:
    """`mark`: its attributes, or those that a browser measured."""
    table, row, column = (mark[f"data-{name}"] for name in ("table", "row", "column"))
    value, way = float(cell(tables, table, row, column)), mark["data-axis"]
    if way == "x":
        _check_along_x(axes["data-x"], mark, value)
    elif way == "y":
        zero, end = place(axes["data-y"], 0.0), place(axes["data-y"], abs(value))
        assert float(mark["height"]) == pytest.approx(abs(zero - end), abs=2 * PIXEL)
    elif way == "x-middle":
        middle = float(mark["x"]) + float(mark["width"]) / 2
        assert middle == pytest.approx(place(axes["data-x"], value), abs=2 * PIXEL)
    elif way == "opacity":
        share = value / float(mark["data-largest"])
        expected = share ** float(mark["data-power"])
        assert float(mark["fill-opacity"]) == pytest.approx(expected, abs=1e-4)
    else:
        x = float(cell(tables, table, row, mark["data-x-column"]))
        at = middle_of(mark)
        assert at[0] == pytest.approx(place(axes["data-x"], x), abs=2 * PIXEL)
        assert at[1] == pytest.approx(place(axes["data-y"], value), abs=2 * PIXEL)


def _check_along_x(axis: str, mark: Mapping[str, str], value: float) -> None:
    if "cx" in mark:
        assert float(mark["cx"]) == pytest.approx(place(axis, value), abs=PIXEL)
        return
    zero, end = place(axis, 0.0), place(axis, value)
    assert float(mark["x"]) == pytest.approx(min(zero, end), abs=PIXEL)
    assert float(mark["width"]) == pytest.approx(abs(end - zero), abs=2 * PIXEL)


def middle_of(mark: Mapping[str, str]) -> tuple[float, float]:
    if "cx" in mark:
        return float(mark["cx"]), float(mark["cy"])
    width, height = float(mark["width"]), float(mark["height"])
    return float(mark["x"]) + width / 2, float(mark["y"]) + height / 2


def place(axis: str, value: float) -> float:
    low, high, start, end = (float(each) for each in axis.split())
    return start + (value - low) / (high - low) * (end - start)
