"""What the other tests lean on: builds that are shared, copies that are whole, checks that can
fail.
"""

from __future__ import annotations

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from features.catalogue import FAMILIES
from features.engine.business_columns import columns_for
from features.recipes.definitions import learn_definitions
from features.recipes.recipe import FEATURES
from tests.support import shared
from tests.support.businesses import NARROW, copied, files_of
from tests.support.checks import nonempty
from tests.support.shared import (
    MOST_STORED,
    ROOT,
    SOURCES,
    build_for_source,
    build_once,
    source_digest,
)
from tests.support.tracking_stores import client
from training.tracking import tracking


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """As pytest's own factory of folders where no worker has one of its own."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    return SimpleNamespace(getbasetemp=lambda: tmp_path)


def test_of_many_who_want_the_same_folder_one_builds_it(factory):
    built = []

    def build(folder):
        built.append(folder)
        time.sleep(0.2)
        (folder / "made").write_text("whole")

    def read(_):
        return (build_once(factory, "same", build) / "made").read_text()

    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(read, range(4))) == ["whole"] * 4
    assert len(built) == 1


def test_a_build_that_failed_leaves_nothing_and_is_tried_again(factory):
    def fail(folder):
        (folder / "half").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build_once(factory, "folder", fail)
    folder = build_once(factory, "folder", lambda folder: (folder / "whole").write_text("whole"))
    assert not (folder / "half").exists()
    assert (folder / "whole").read_text() == "whole"


def test_workers_share_the_folder_above_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    for worker in ("gw0", "gw1"):
        (tmp_path / worker).mkdir()
        factory = SimpleNamespace(getbasetemp=lambda worker=worker: tmp_path / worker)
        assert build_once(factory, "folder", lambda _: None) == tmp_path / "folder"


def test_nothing_to_check_is_a_failure():
    assert nonempty(iter("ab")) == ["a", "b"]
    with pytest.raises(AssertionError, match="nothing to check"):
        nonempty(x for x in [])


def test_the_narrow_businesses_have_every_family_and_some_forty_columns(shop, subscriptions):
    assert set(FEATURES) >= NARROW
    off_by_default = {"treatments"}
    assert {FEATURES[name].family for name in NARROW} == set(FAMILIES) - off_by_default
    for _, settings, history in (shop, subscriptions):
        definitions = learn_definitions(history.as_of(history.data_until), settings)
        assert 40 <= len(columns_for(history, definitions, settings)) <= 65


def test_a_copy_of_a_home_is_whole_and_nothing_in_it_names_the_first(trained_shop, home):
    before = files_of(trained_shop.home)
    own = copied(trained_shop, home)
    assert {path.removeprefix(str(home)) for path in files_of(home)} == {
        path.removeprefix(str(trained_shop.home)) for path in before
    }
    for path in (own.release.folder, own.run.folder, own.trained.folder):
        assert path.is_relative_to(home)
        assert path.is_dir()
    with sqlite3.connect(home / "mlruns" / "mlflow.db") as connection:
        assert str(trained_shop.home) not in "\n".join(connection.iterdump())
    assert tracking.list_runs(10)[0]["release"] == own.release.id
    run = own.trained.runs["churn"]
    assert client(home).get_run(run).info.artifact_uri.startswith((home / "mlruns").as_uri())
    assert files_of(trained_shop.home) == before


def test_businesses_are_kept_for_equal_sources_and_old_ones_go(tmp_path, monkeypatch):
    store = tmp_path / "store"
    monkeypatch.setattr(shared, "STORE", store)
    for age, name in enumerate(("older", "old", "new")):
        (store / name).mkdir(parents=True)
        os.utime(store / name, ns=(age, age))
    made = []

    def build(folder):
        made.append(folder)
        (folder / "made").write_text("once")

    first = build_for_source("shop", build)
    again = build_for_source("shop", build)
    assert first == again == store / source_digest() / "shop"
    assert made == [first]
    kept = {path.name for path in store.iterdir()}
    assert kept == {source_digest(), "new"}
    assert MOST_STORED == 2


def test_other_packages_or_sources_are_another_store():
    files = [path for place in SOURCES for path in (ROOT / place).rglob("*.py")]
    assert len(files) > 400
    assert (ROOT / "requirements.txt").is_file()
