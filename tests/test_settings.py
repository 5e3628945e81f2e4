"""The configuration: unknown keys are refused with a suggestion, values by their rule, instants by
one reading.
"""

from __future__ import annotations

import pytest

from features.catalogue import custom
from features.core import errors, settings
from features.core.config_schema import Section
from features.core.instants import day_text, instant
from features.tables import sources

GOOD = {"business": {"zone": "UTC"}, "tables": {"transactions": "SELECT 1"}}


def of(tmp_path, **sections):
    return settings.settings_from_mapping(GOOD | sections, folder=tmp_path, where="lifecycle.toml")


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"churn": {"horizon": 90}}, "did you mean 'horizon_days'"),
        ({"chrun": {"horizon_days": 90}}, "did you mean 'churn'"),
        ({"tables": {"transaction": "SELECT 1"}}, "did you mean 'transactions'"),
    ],
)
def test_unknown_keys_are_refused_with_a_suggestion(tmp_path, sections, said):
    with pytest.raises(errors.UnknownKey, match=said) as caught:
        of(tmp_path, **sections)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "sections",
    [
        {"churn": {"horizon_days": 0}},
        {"churn": {"horizon_days": "ninety"}},
        {"business": {"zone": "Mars/Olympus"}},
        {"business": {"currency": "euro"}},
        {"business": {"archetype": "hopeful"}},
        {"stages": {"multiples": [4, 2, 8]}},
        {"stages": {"multiples": [2, 4]}},
        {"activity": {"table": "interactions", "kinds": ["visit"]}},
        {"churn": {"grace_days": 7}},
        {"business": {"archetype": "contractual"}},
        {"features": {"windows_days": []}},
    ],
)
def test_values_outside_their_rule_are_refused(tmp_path, sections):
    with pytest.raises(errors.BadSetting) as caught:
        of(tmp_path, **sections)
    assert caught.value.rule
    assert "lifecycle.toml" in caught.value.where


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({"files": {"x": "\0"}}, "files.x"),
        ({"files": {"a\0b": "a.csv"}}, r"files.a\u0000b"),
        ({"features": {"own": "mine\0.py"}}, "features.own"),
        ({"tables": {"transactions": "SELECT 1 \0"}}, "tables.transactions"),
        ({"activity": {"kinds": ["purchase", "\0"]}}, "activity.kinds"),
        ({"contract": {"arrives_after_hours": {"\0": 1}}}, r"contract.arrives_after_hours.\u0000"),
    ],
)
def test_a_text_with_a_nul_is_refused_wherever_it_stands(tmp_path, sections, place):
    with pytest.raises(errors.BadSetting, match="NUL") as caught:
        of(tmp_path, **sections)
    assert caught.value.where == f"lifecycle.toml [{place}]"
    assert "\0" not in errors.owner_text(caught.value)


def test_a_toml_nested_beyond_measure_is_refused(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("[training]\nevaluate = " + "[" * 100_000)
    with pytest.raises(errors.UsageError, match="not valid TOML"):
        settings.load_settings(path)


def test_a_name_too_long_for_any_file_is_a_missing_file(tmp_path):
    long = "x" * 5000
    with pytest.raises(errors.FileMissing, match="no such file"):
        settings.load_settings(tmp_path / long)
    with pytest.raises(errors.FileMissing, match=r"\[files\] t"):
        sources.read_tables(of(tmp_path, files={"t": f"{long}.csv"}))
    with pytest.raises(errors.FileMissing, match=r"\[features\] own"):
        custom.read_source(of(tmp_path, features={"own": f"{long}.py"}))


def test_a_file_that_is_no_toml_and_one_that_is_not_there(tmp_path):
    (tmp_path / "bad.toml").write_text("[business\n")
    with pytest.raises(errors.UsageError, match="not valid TOML"):
        settings.load_settings(tmp_path / "bad.toml")
    with pytest.raises(errors.FileMissing):
        settings.load_settings(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("stated", "zone", "hours"),
    [
        ("1970-01-02", "UTC", 24),
        ("1970-01-02", "America/New_York", 29),
        ("1970-01-02T00:00:00+02:00", "America/New_York", 22),
        ("1970-01-02T06:00:00", "America/New_York", 35),
    ],
)
def test_a_date_is_local_midnight_and_an_offset_wins(stated, zone, hours):
    assert instant(stated, zone=zone) == hours * 3_600_000_000


@pytest.mark.parametrize("stated", ["tomorrow", "2024-13-01", "2024-02-30", ""])
def test_what_is_no_instant_is_refused(stated):
    with pytest.raises(errors.BadSetting, match="not a date"):
        instant(stated, zone="UTC")


@pytest.mark.parametrize("zone", ["UTC", "Europe/London", "Asia/Kathmandu", "America/St_Johns"])
@pytest.mark.parametrize("day", ["2024-03-31", "2024-10-27", "2024-01-01"])
def test_a_day_comes_back_as_the_same_text(zone, day):
    assert day_text(instant(day, zone=zone), zone=zone) == day


def test_paths_resolve_against_the_toml_and_the_data_folder_expands(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_DATA", str(tmp_path / "there"))
    stated = of(tmp_path)
    assert settings.file_path(stated, "data/x.csv") == tmp_path / "data" / "x.csv"
    assert settings.file_path(stated, "${LIFECYCLE_DATA}/x.csv") == tmp_path / "there" / "x.csv"


def test_what_a_release_agrees_on_leaves_out_where_files_lie_and_how_long_to_search(tmp_path):
    one = of(tmp_path, files={"a": "a.csv"}, training={"seconds": 1})
    assert (
        one.definitions()
        == of(tmp_path / "elsewhere", files={"a": "b.csv"}, training={"seconds": 9}).definitions()
    )
    assert one.definitions() != of(tmp_path, churn={"horizon_days": 91}).definitions()


def test_where_customers_come_back_seldom_the_horizon_is_a_year_and_eligible_three(tmp_path):
    seldom = of(tmp_path, business={"archetype": "low-frequency"})
    assert (seldom.churn.horizon_days, seldom.eligible_days) == (365, 3 * 365)
    stated = of(tmp_path, business={"archetype": "low-frequency"}, churn={"horizon_days": 180})
    assert (stated.churn.horizon_days, stated.eligible_days) == (180, 540)
    both = {"horizon_days": 180, "eligible_days": 200}
    assert of(tmp_path, business={"archetype": "low-frequency"}, churn=both).eligible_days == 200
    usual = of(tmp_path)
    assert (usual.churn.horizon_days, usual.eligible_days) == (90, 90)


def test_every_key_says_what_it_means():
    sections = [
        field.annotation
        for field in settings.Settings.model_fields.values()
        if isinstance(field.annotation, type)
    ]
    keys = {
        f"{section.__name__}.{key}": field
        for section in sections
        if issubclass(section, Section)
        for key, field in section.model_fields.items()
    }
    assert "Training.churn_model" in keys
    assert [name for name, field in keys.items() if not field.description] == []


@pytest.mark.parametrize(
    ("section", "values", "typed"),
    [
        ("churn", {"grace_days": 9}, "label_latency_days = 9"),
        ("business", {"archetype": "contractual"}, 'terms_from = "payments"'),
        ("activity", {"table": "interactions"}, "interactions = "),
        ("consent", {"score": True}, "customers = "),
        ("contract", {"constant_attributes": ["region"]}, "customers = "),
    ],
)
def test_a_broken_rule_between_keys_says_what_to_type(tmp_path, section, values, typed):
    mapping = {
        "files": {"sold": "sold.csv"},
        "tables": {"transactions": "SELECT * FROM sold"},
    }
    with pytest.raises(errors.BadSetting) as refused:
        settings.settings_from_mapping(
            mapping | {section: values}, folder=tmp_path, where="my.toml"
        )
    assert refused.value.where == "my.toml"
    assert typed in refused.value.fix
    assert "Value error" not in str(refused.value)


@pytest.mark.parametrize(
    "section",
    [
        {"churn": {"horizon_days": True}},
        {"value": {"margin": True}},
        {"training": {"seed": True}},
        {"time": {"horizons_days": [7, True]}},
        {"value": {"service_costs": {"call": False}}},
        {"training": {"seed": -1}},
        {"training": {"seed": 2**70}},
    ],
)
def test_true_is_no_number_and_a_seed_has_bounds(section, tmp_path):
    mapping = {"tables": {"transactions": "SELECT 1"}} | section
    with pytest.raises(errors.BadSetting):
        settings.settings_from_mapping(mapping, folder=tmp_path, where="test")


def test_true_is_true_where_a_setting_asks_for_it(tmp_path):
    mapping = {"tables": {"transactions": "SELECT 1"}, "consent": {"list": False}}
    made = settings.settings_from_mapping(mapping, folder=tmp_path, where="test")
    assert made.consent.list is False
