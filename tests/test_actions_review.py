"""`lifecycle decide --check`: what is odd about actions is named, and nothing else is."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from features.core.action_schema import Action
from lifecycle.commands.decide import check_actions, findings_text
from lifecycle.commands.decide_rules import read_rules
from serving.decisions.plan import price_options
from serving.decisions.review import review_actions
from tests.support.campaigns import ACTIONS, no_contacts, settings_of
from tests.support.command_line import run_here

of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)

CUSTOMERS = pa.table(
    {
        "customer_id": ["a", "b", "c", "d"],
        "stage": ["loyal", "at_risk", "dormant", "churned"],
        "tier": ["gold", "iron", None, "iron"],
        "segment": ["x", "x", "y", None],
        "risk": [0.1, 0.5, 0.8, 0.99],
        "p_low": [0.1, 0.5, 0.8, 0.99],
        "p_high": [0.1, 0.5, 0.8, 0.99],
        "value": [100.0, 100.0, 50.0, 1.0],
    }
)
CHEAP = {"channel": "mail", "contact_cost": 0.5, "acceptance": 0.2}


@pytest.fixture
def kinds(at_home):
    """(kind, action) of each finding about some actions."""

    def review(**actions: Action) -> set[tuple[str, str | None]]:
        settings = settings_of(at_home).model_copy(update={"actions": actions})
        rules = read_rules(settings, "check", budget=None, capacity={})
        options = price_options(CUSTOMERS, no_contacts(), rules, 0)
        return {(each.kind, each.action) for each in review_actions(CUSTOMERS, actions, options)}

    return review


def test_nothing_is_odd_about_an_action_for_everybody(kinds):
    assert kinds(mail=Action(when="not stage = churned", **CHEAP)) == set()


def test_each_kind_is_named(kinds):
    assert kinds(mail=Action(when="risk > 2", **CHEAP)) == {
        ("never fires", "mail"),
        ("gap", None),
    }
    dear = {**CHEAP, "contact_cost": 1e6}
    assert kinds(mail=Action(**dear)) == {("never pays", "mail")}
    worse = {**CHEAP, "acceptance": 0.1}
    assert kinds(mail=Action(**CHEAP), call=Action(**worse)) == {("never the best", "call")}
    assert kinds(mail=Action(when="stage = dormant", **CHEAP)) == {("gap", None)}


@of_the_shop
def test_a_misspelt_word_is_named_with_the_nearest(at_home):
    settings = settings_of(at_home)
    actions = {**ACTIONS, "call": Action(when='tier in (golden) or segment = "golden"', **CHEAP)}
    settings = settings.model_copy(update={"actions": actions})
    rules = read_rules(settings, "check", budget=None, capacity={})
    options = price_options(CUSTOMERS, no_contacts(), rules, 0)
    texts = [each.sentence for each in review_actions(CUSTOMERS, actions, options)]
    assert "no customer has tier golden: did you mean 'gold'?" in texts
    assert "no customer has segment golden" in texts


@of_the_shop
def test_of_a_business_it_says_so_whoever_rests(own_home):
    settings = settings_of(own_home)
    rules = read_rules(settings, "check", budget=None, capacity={})
    findings = check_actions(own_home.history, settings, rules, own_home.run.as_of)
    assert "pays for none" not in findings_text(findings)
    assert findings_text([]) == "nothing is odd about the actions"


@of_the_shop
def test_the_command_needs_a_name_and_a_folder_only_to_decide(own_home, tmp_path):
    config = tmp_path / "lifecycle.toml"
    text = (own_home.folder / "lifecycle.toml").read_text(encoding="utf-8")
    action = '[actions.mail]\nchannel = "mail"\ncontact_cost = 1\nacceptance = 0.1\n'
    config.write_text(text.replace('"data/', f'"{own_home.folder}/data/') + action)
    done = run_here("decide", "-c", config, "--check", "--json")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout)["findings"], list)
    refused = run_here("decide", "-c", config)
    assert refused.returncode == 2
    assert "--campaign" in refused.stderr
