"""Both kinds of business with a release and a run, one after the other, and the scores they got.

A test module takes a fixture from here by `import fixture as fixture`: an import kept for pytest to find.
"""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="module", params=["trained_shop", "trained_subscriptions"])
def business(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def at_home(business, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(business.home))
    return business


def scores(business):
    return pq.read_table(business.run.folder / "scores.parquet")
