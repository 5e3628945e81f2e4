"""The tutorial and the how-tos: their commands and their Python run as they are written."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from features.recipes import recipe
from tests.support.command_line import run_here

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(python)?\n(.*?)```", re.DOTALL)


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block, in order; commands have no language."""
    return BLOCK.findall((ROOT / "docs" / page).read_text())


def run(command: str) -> str:
    """What the command prints; `lifecycle` runs in this process, which imports everything once."""
    program, *arguments = command.split()
    if program == "lifecycle":
        answer = run_here(*arguments)
    else:
        assert program == "python"
        answer = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False
        )
    assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


# pyarrow reads pandas columns with a zone by a way that pandas 4 will change.
@pytest.mark.filterwarnings("ignore:Series.values returning")
@pytest.mark.slow
def test_the_tutorial_runs_from_the_first_block_to_the_last(store_home):
    (_, orders), *blocks = blocks_of("tutorial.md")
    (store_home / "make_orders.py").write_text(orders)
    scope: dict[str, object] = {}
    printed = {}
    for language, text in blocks:
        if language == "python":
            exec(text, scope)
        else:
            printed |= {line: run(line) for line in text.splitlines()}
    config = (store_home / "lifecycle.toml").read_text()
    assert re.findall(r"^# CHECK: .*(currency)", config, re.M) == ["currency"]
    assert len(re.findall(r"^# CHECK:", config, re.M)) == 1
    assert "horizon_days = 30" in config
    assert "0 rejected" in printed["lifecycle check"]
    assert scope["model"].status == "ok"
    scores, same = scope["scores"].set_index("customer_id"), scope["same"]
    assert scores.loc[same["customer_id"], "p_churn"].tolist() == same["p_churn"].tolist()
    assert len(scope["riskiest"]) == 10


def test_the_feature_of_the_how_to_registers_under_a_name_of_its_own():
    names = dict(vars(recipe))
    with recipe.register_into(entries := {}):
        for language, text in blocks_of("how-to/add-a-feature.md"):
            assert language == "python"
            exec(text, names)
    assert set(entries) == {"recency_usage"}
    assert not set(entries) & set(recipe.FEATURES)


PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[mn]*/README.md")})
PLACE = re.compile(r"`([a-z_]+(?:/[\w-]+)*(?:/|\.(?:py|toml|ipynb)))`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_link_that_a_page_names_is_there(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert link.startswith("http") or (page.parent / link).exists(), link
    for place in PLACE.findall(text):
        if "/" in place.rstrip("/") and not place.startswith("mlruns/"):
            assert (ROOT / place).exists(), place


def test_the_architecture_page_has_the_layers_that_are_checked():
    page = (ROOT / "docs" / "architecture.md").read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    for contract in contracts["contracts"]:
        for package in contract.get("containers", ()):
            section = page.split(f"**`{package}/`")[1].split("**")[1]
            cells = re.findall(r"^\| (`.*?) \|", section, re.M)
            rows = [" | ".join(re.findall(r"`(\w+)/?`", cell)) for cell in cells]
            assert rows == contract["layers"]
