"""What is made once and shared: by every worker of a session, or by all sessions of one source."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import pytest

COMPLETE = "complete"
ROOT = Path(__file__).resolve().parents[2]
# `make test-slow` after `make test` trains the same businesses: they are kept for equal sources.
STORE = ROOT / ".pytest_cache" / "businesses"
SOURCES = ("features", "serving", "training", "lifecycle", "tests/support")
MOST_STORED = 2  # sources whose businesses are kept


def build_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The folder `name`, filled by `build(folder)` in the worker that comes first.

    The others wait for it and use the same folder. A build that fails is tried again by the next
    one.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has a folder of its own below the session's
    return _build(root, name, build)


def build_for_source(name: str, build: Callable[[Path], object]) -> Path:
    """The same in a folder that later sessions of the same sources and packages use, too."""
    root = STORE / source_digest()
    root.mkdir(parents=True, exist_ok=True)
    os.utime(root)
    others = sorted(STORE.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in others[MOST_STORED:]:
        shutil.rmtree(path, ignore_errors=True)
    return _build(root, name, build)


@cache
def source_digest() -> str:
    """16 hex digits over the code that makes businesses, the packages it runs on, and Python."""
    digest = hashlib.sha256(sys.version.encode())
    files = [ROOT / "requirements.txt"]
    for place in SOURCES:
        files += sorted((ROOT / place).rglob("*.py"))
    for path in files:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(root: Path, name: str, build: Callable[[Path], object]) -> Path:
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
