"""`check` of own targets: amounts are summed, and a label that nobody has is a finding."""

from __future__ import annotations

import json

import pytest

from tests.support.command_line import run_here
from tests.support.targets import SPEND


@pytest.fixture
def configured(shop, tmp_path):
    """A function that writes the shop's configuration with these lines and gives its place."""
    text = (shop[0] / "lifecycle.toml").read_text().replace("data/", f"{shop[0]}/data/")

    def write(lines):
        config = tmp_path / "lifecycle.toml"
        config.write_text(f"{text}\n{lines}\n")
        return config

    return write


def test_check_sums_an_amount(configured):
    config = configured(f'[targets.spend]\npopulation = "everyone"\namount = """{SPEND}"""')
    report = json.loads(run_here("check", "-c", config, "--json").stdout)["targets"]["spend"]
    assert 0 < report["positive"] < report["customers"]
    assert report["total"] > report["positive"]
    printed = run_here("check", "-c", config).stdout
    assert f"target spend: {report['positive']:,} of {report['customers']:,} everyone" in printed
    assert f"in total {report['total']:,.2f}" in printed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("label = \"SELECT customer_id FROM window WHERE kind = 'Purchase'\"", "purchase"),
        (
            "label = \"SELECT customer_id FROM window.feedback WHERE kind = 'complaints'\"",
            "complaint",
        ),
        ('amount = "SELECT customer_id, 0 AS amount FROM customers"', ""),
    ],
)
def test_a_target_that_nobody_has_is_a_finding_with_the_kinds_that_are_there(
    line, words, configured
):
    config = configured(f"[targets.typo]\n{line}")
    result = run_here("check", "-c", config, "--strict", "--json")
    assert result.returncode == 1
    (finding,) = [
        each
        for each in json.loads(result.stdout)["findings"]
        if each["name"] == "target_same_for_everybody"
    ]
    key = line.split(" ")[0]
    assert finding["sentence"].startswith(f"{key} of [targets.typo] is 0 for everybody: 0 of ")
    assert words in finding["fix"]
    assert ("The kinds that are there" in finding["fix"]) is bool(words)


def test_a_label_that_everybody_has_is_a_finding_and_a_usual_one_is_none(configured):
    config = configured(
        '[targets.all]\nlabel = "SELECT customer_id FROM customers"\n'
        f'[targets.spend]\namount = """{SPEND}"""'
    )
    findings = json.loads(run_here("check", "-c", config, "--json").stdout)["findings"]
    (finding,) = [each for each in findings if each["name"] == "target_same_for_everybody"]
    assert "label of [targets.all] is 1 for everybody" in finding["sentence"]
