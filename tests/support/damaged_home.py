"""A copy of a healthy home to break, what the doctor finds there, and doing what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.doctor import examine
from serving.doctor.findings import run_check
from serving.release import release

ROOT = Path(__file__).resolve().parents[2]
DAY_S = 86_400
# Which check tells a finding that is not called like its check.
AMONG = {
    "release status": "release versions",
    "release age": "release versions",
    "scores age": "scores",
    "scores release": "scores",
}


@pytest.fixture
def healthy_home(trained_shop, home):
    """A copy of a trained, promoted, scored home, and the moment its newest scores were due."""
    for room in ("mlruns/releases", "scores"):
        shutil.copytree(trained_shop.home / room, home / room)
    return home


@pytest.fixture
def due_at(trained_shop):
    return trained_shop.run.as_of / 1e6 + DAY_S / 2


def found(name, now=None):
    """The one finding of this name, by the check that tells it."""
    check = examine.CHECKS.get(AMONG.get(name, name), examine.CHECKS["libraries"])
    named = [
        finding
        for finding in run_check(name, lambda: check(now or time.time()))
        if finding.name == name
    ]
    assert len(named) == 1, (name, named)
    return named[0]


def commands(finding):
    return re.findall(r"`([^`]+)`", finding.fix)


def run_folder(healthy_home):
    return (
        healthy_home
        / "scores"
        / json.loads((healthy_home / "scores" / "LATEST").read_text())["folder"]
    )


def release_folder(healthy_home):
    return release.releases_folder() / (release.releases_folder() / "CURRENT").read_text().strip()


def obey(finding, trained_shop):
    """Do what the fix says, as typed: shell commands, `-c …` being the configuration."""
    for command in commands(finding):
        words = command.replace("lifecycle ", f"{sys.executable} -m lifecycle ", 1)
        words = words.replace("-c …", f"-c {trained_shop.folder / 'lifecycle.toml'}")
        subprocess.run(words, shell=True, check=True, capture_output=True)


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def reseal(folder):
    """Make a changed release consistent again, as whoever forges one would; it moves to its new
    id.
    """
    files = release.hash_files(folder)
    rewrite(folder / "manifest.json", files=files, id=release.content_id(files))
    return folder.rename(folder.parent / release.content_id(files))
