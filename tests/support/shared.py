"""What is made once a session and shared by every worker of pytest-xdist."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

COMPLETE = "complete"


def build_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The folder `name`, filled by `build(folder)` in the worker that comes first.

    The others wait for it and use the same folder. A build that fails is tried again by the next
    one.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has a folder of its own below the session's
    folder = root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            (folder / COMPLETE).touch()
    return folder


def needed_fixtures(items: Iterable[pytest.Item]) -> set[str]:
    """The fixtures that these tests name, as an argument or as a parameter of another fixture."""
    named: set[str] = set()
    for item in items:
        named.update(getattr(item, "fixturenames", ()))
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        named.update(value for value in parameters if isinstance(value, str))
    return named


def own_share(names: Sequence[str]) -> Sequence[str]:
    """This worker's share of what is made once; nothing where there is a single process."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        return ()
    return names[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]
