"""The benchmarks of exports: a folder each, what became of it, and the rule of what was refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import exports, gym

HEADER = "order id,customer id,order date,total,currency"


def orders(currencies):
    rows = [
        f"{number},C{number % 30:03d},2024-{number % 12 + 1:02d}-{number % 27 + 1:02d} 10:00:00,"
        f"{10 + number % 7}.50,{currencies[number % len(currencies)]}"
        for number in range(400)
    ]
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.mark.slow
@pytest.mark.long
def test_an_export_is_read_and_another_is_refused_by_its_rule(tmp_path):
    for name, currencies in (("one", ["EUR"]), ("several", ["EUR", "USD"])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "orders.csv").write_text(orders(currencies))
    read, refused = (exports.try_export(tmp_path / name) for name in ("one", "several"))
    assert (read["used"], read["given"], read["read"], read["refused"]) == (1, 1, 400, None)
    assert read["read"] == read["kept"] + read["rejected"]
    assert refused["refused"].startswith("init: Amounts are added up")
    assert exports.totals([read, refused]) == {
        "exports": 2,
        "read_without_refusal": 1,
        "without_edit": int(read["edits"] == 0),
    }
    text = exports.table_text([read, refused])
    assert "refused by init: Amounts are added up" in text
    assert "1 of 2 read" in text
    assert json.loads(json.dumps(read)) == read
    # Nothing is written beside the exports.
    beside = [path.name for name in ("one", "several") for path in (tmp_path / name).iterdir()]
    assert beside == ["orders.csv", "orders.csv"]


def test_the_last_rule_is_taken_and_a_line_without_one_is_taken_as_it_is():
    assert exports.rule_of("error in a\n  got:  x\n  rule: It is so.\n  do:   y\n") == "It is so."
    assert exports.rule_of("killed\n") == "killed"
    assert exports.rule_of("") == "no word"


def test_differences_are_ours_less_theirs():
    rng = np.random.default_rng(3)
    y = rng.random(300) < 0.4
    good, noise = np.where(y, 0.6, 0.3), rng.uniform(0.2, 0.6, 300)
    customers = np.arange(300) // 2
    report = gym.compare(y, good, noise, customers)
    assert report["auroc"]["ours"] == 1
    assert report["auroc"]["low"] < report["auroc"]["difference"] < report["auroc"]["high"]
    assert report["log_loss"]["difference"] == pytest.approx(
        report["log_loss"]["ours"] - report["log_loss"]["boosting"]
    )
    same = gym.compare(y, noise, noise, customers)
    assert same["auroc"]["difference"] == same["log_loss"]["difference"] == 0
