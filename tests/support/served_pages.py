"""Pages of the service in a test: opened, and of a run whose history is another."""

from __future__ import annotations

import dataclasses
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core.contract import CONTRACT
from tests.support.page_text import Page, assert_strict
from tests.support.services import KEY


def open_page(service, path: str, status: int = 200) -> Page:
    response = service.get(path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(response.text)
    assert_strict(page, response.headers["content-security-policy"])
    return page


def rows(name: str, *cells: dict) -> pa.Table:
    """Known rows of one customer, newest first as they are read; other columns are null.

    A row is recorded when it happened, unless it says otherwise.
    """
    happened = CONTRACT[name].happened_at
    cells = tuple({"recorded_at": each.get(happened), **each} for each in cells)
    types = {"id": pa.string(), "text": pa.string(), "flag": pa.bool_(), "number": pa.float64()}
    columns = {
        column.name: pa.array([each.get(column.name) for each in cells], _type(column, types))
        for column in CONTRACT[name].columns
    }
    return pa.table(columns)


def _type(column, types):
    return types.get(column.type, pa.int64())


@pytest.fixture
def without_history(shop_service, tmp_path):
    """The served run without tables of its history, or with others: a function of the tables."""
    served = shop_service.desk.served

    def replace(**tables):
        folder = tmp_path / "run"
        shutil.copytree(served.run.folder, folder)
        for name, table in tables.items():
            path = folder / "history" / f"{name}.parquet"
            path.unlink(missing_ok=True)
            if table is not None:
                pq.write_table(table, path)
        sizes = {path.stem: path.stat().st_size for path in (folder / "history").iterdir()}
        run = dataclasses.replace(served.run, folder=folder, history=sizes)
        shop_service.desk.served = dataclasses.replace(served, run=run)
        return shop_service

    yield replace
    shop_service.desk.served = served


def bearer(*more):
    return [(b"authorization", f"Bearer {KEY}".encode()), *more]
