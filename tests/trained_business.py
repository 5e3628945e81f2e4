"""Both kinds of business with a release and a run, one after the other, and the scores they got.

A test module takes a fixture from here by `import fixture as fixture`: an import kept for pytest to find.
"""

from __future__ import annotations

import json

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


def newest_is(home, run):
    """Let LATEST name this run: other tests score later dates in a home they share."""
    folder = run.folder.relative_to(run.folder.parents[1]).as_posix()
    (home / "scores" / "LATEST").write_text(json.dumps({"as_of": run.as_of, "folder": folder}))
