"""The doctor on releases and scores: damaged, gone, old, or not of one piece."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import pytest

from serving.release import release
from tests.support.damaged_home import (
    DAY_S,
    commands,
    found,
    obey,
    release_folder,
    reseal,
    rewrite,
    run_folder,
)
from training.promote import promote


@pytest.mark.parametrize("damage", ["a byte", "a file less", "no manifest"])
@pytest.mark.long
def test_a_damaged_release_fails_and_heals_as_told(healthy_home, damage, trained_shop):
    folder = release_folder(healthy_home)
    shutil.copytree(folder, folder.parent / "other")
    (folder.parent / "other" / "card.md").write_text("another one")
    other = reseal(folder.parent / "other")
    if damage == "a byte":
        raw = bytearray((folder / "models.json").read_bytes())
        raw[100] ^= 1
        (folder / "models.json").write_bytes(bytes(raw))
    elif damage == "a file less":
        (folder / "population.parquet").unlink()
    else:
        (folder / "manifest.json").write_text("{}")
    seen = found("release")
    assert seen.state == "failed"
    assert seen.observed.startswith(f"{folder.name} is damaged: ")
    assert commands(seen)[:2] == [f"rm -r {folder}", "lifecycle promote"]
    if damage == "a byte":
        shutil.rmtree(folder)
        assert promote().id == other.name
        assert found("release").state == "ok"


def test_a_release_whose_golden_scores_come_out_otherwise_fails(healthy_home):
    models = json.loads((release_folder(healthy_home) / "models.json").read_text())
    models["calibration"]["shift"] += 0.5
    (release_folder(healthy_home) / "models.json").write_text(json.dumps(models))
    forged = reseal(release_folder(healthy_home))
    (forged.parent / "CURRENT").write_text(forged.name)
    seen = found("release")
    assert seen.state == "failed"
    assert "golden scores" in seen.observed


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("pointer", ["", "0123456789abcdef\n", b"\xff\xfe", None])
def test_a_pointer_that_names_no_release_is_written_anew_by_promote(
    healthy_home, pointer, trained_shop
):
    current = release.releases_folder() / "CURRENT"
    current.unlink()
    if pointer is not None:
        current.write_bytes(pointer if isinstance(pointer, bytes) else pointer.encode())
    seen = found("release")
    assert seen.state == ("failed" if pointer is not None else "warning")
    assert commands(seen) == ["lifecycle promote"]
    if pointer == "":
        promote()
        assert found("release").state == "ok"


def test_a_release_made_with_other_versions_says_which(healthy_home):
    import duckdb

    manifest = release_folder(healthy_home) / "manifest.json"
    made = json.loads(manifest.read_text())["versions"]
    assert found("release versions").state == "ok"
    rewrite(manifest, versions=made | {"duckdb": "99.0", "scikit-learn-absent-here": "1"})
    seen = found("release versions")
    assert (seen.state, seen.observed) == (
        "warning",
        f"trained with duckdb 99.0, here {duckdb.__version__}",
    )


def test_a_release_without_skill_is_a_warning(healthy_home):
    rewrite(release_folder(healthy_home) / "models.json", status="no_skill")
    told = reseal(release_folder(healthy_home))
    (told.parent / "CURRENT").write_text(told.name)
    seen = found("release status")
    assert (seen.state, seen.observed) == ("warning", "no_skill")
    assert "base rates" in seen.fix


def test_a_release_grows_old_by_its_making_and_by_what_it_knows(healthy_home, due_at, trained_shop):
    made = release_folder(healthy_home) / "manifest.json"

    rewrite(made, made_at=datetime.fromtimestamp(due_at, UTC).isoformat())
    base = trained_shop.run.as_of / 1e6
    assert found("release age", now=due_at + 89 * DAY_S).state == "ok"
    seen = found("release age", now=due_at + 91 * DAY_S)
    assert (seen.state, seen.observed[:20]) == ("warning", "trained 91 days ago;")
    pointer = json.loads((healthy_home / "scores" / "LATEST").read_text())
    later = int((base + 91 * DAY_S) * 1e6)
    rewrite(healthy_home / "scores" / "LATEST", as_of=later, folder=pointer["folder"])
    assert found("release age", now=due_at).state == "warning"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "damage", ["a byte", "a file less", "a file more", "no manifest", "a manifest nested deeply"]
)
def test_a_run_that_is_not_as_it_was_written_is_scored_again_as_told(
    healthy_home, damage, trained_shop
):
    folder = run_folder(healthy_home)
    if damage == "a byte":
        raw = bytearray((folder / "scores.parquet").read_bytes())
        raw[len(raw) // 2] ^= 1
        (folder / "scores.parquet").write_bytes(bytes(raw))
    elif damage == "a file less":
        (folder / "population.parquet").unlink()
    elif damage == "a file more":
        (folder / "history" / "extra.parquet").write_text("")
    elif damage == "a manifest nested deeply":
        (folder / "manifest.json").write_text("[" * 100_000)
    else:
        (folder / "manifest.json").write_text("[]")
    seen = found("scores")
    assert (seen.state, seen.observed[:36]) == ("failed", "the newest run is not as it was writ")
    if damage == "a byte":
        obey(seen, trained_shop)
        assert found("scores").state == "ok"


def test_a_report_that_was_drawn_into_the_run_is_no_damage(healthy_home):
    lists = run_folder(healthy_home) / "report" / "report_files" / "lists"
    lists.mkdir(parents=True)
    (lists / "channels.csv").write_text("channel\n")
    assert found("scores").state == "ok"
    (run_folder(healthy_home) / "more.csv").write_text("channel\n")
    assert "more.csv" in found("scores").observed


@pytest.mark.parametrize(
    "pointer",
    [
        "",
        "{}",
        "[" * 100_000,
        '{"as_of": 1, "folder": "as_of=1/run=x"}',
        '{"as_of": 1, "folder": "../.."}',
        None,
    ],
    ids=lambda text: str(text)[:40],
)
def test_a_pointer_that_names_no_run_fails_also_outside_scores(healthy_home, pointer):
    latest = healthy_home / "scores" / "LATEST"
    latest.unlink() if pointer is None else latest.write_text(pointer)
    seen = found("scores")
    assert (seen.state, seen.observed) == ("failed", "scores/LATEST names no run")


def test_scores_grow_old_in_four_days(healthy_home, due_at):
    assert found("scores age", now=due_at + 3 * DAY_S).state == "ok"
    seen = found("scores age", now=due_at + 4 * DAY_S)
    assert seen.state == "warning"
    assert "4 days ago" in seen.observed


def test_scores_of_another_release_than_the_served_one(healthy_home):
    rewrite(run_folder(healthy_home) / "manifest.json", release="0123456789abcdef")
    seen = found("scores release")
    assert seen.state == "warning"
    assert "0123456789abcdef" in seen.observed
