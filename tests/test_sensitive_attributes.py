"""What may be sensitive is a feature only where the settings name it."""

from __future__ import annotations

import pytest

from features.core import errors
from features.core.config_schema import SENSITIVE_WORDS
from features.recipes.definitions import learn_definitions
from features.tables.sensitive_names import may_be_sensitive
from lifecycle.commands import check, check_text
from tests.support.attribute_files import attribute_rows, plain, read


def test_what_may_be_sensitive_is_a_feature_only_where_named_and_check_says_so(tmp_path):
    lines = "customer_id,Gender,birthYear,average,channel\n"
    lines += "".join(f"{k},{'mf'[k % 2]},19{50 + k},{k % 3},web\n" for k in range(40))
    constant = ("Gender", "birthYear", "average", "channel")
    found, counts, stated = read(tmp_path, lines, constant=constant)
    assert set(plain(attribute_rows(found, stated)["3"])) == {"average", "channel_is_web"}
    report = check.build_report(found, counts, stated)
    assert report["tables"]["customers"]["sensitive_left_out"] == ["Gender", "birthYear"]
    assert "not_features" not in report["tables"]["customers"]
    assert "sensitive left out: Gender, birthYear (may be" in check_text.report_text(report)

    found, counts, stated = read(tmp_path, lines, constant=constant, allowed=["birthYear"])
    assert plain(attribute_rows(found, stated)["3"])["birthyear"] == 1953
    definitions = learn_definitions(found.as_of(found.data_until), stated)
    assert {a.name: a.sensitive for a in definitions.attributes} == {
        "average": False,
        "birthYear": True,
        "channel": False,
    }

    found, _, stated = read(tmp_path, lines, constant=constant, words=["channel"])
    assert set(plain(attribute_rows(found, stated)["3"])) >= {"gender_is_f", "birthyear"}
    assert not any("channel" in name for name in attribute_rows(found, stated)["3"])


def test_an_allowed_attribute_that_is_none_is_refused(tmp_path):
    with pytest.raises(errors.BadSetting, match=r"sensitive_allowed.*did you mean 'gender'"):
        read(tmp_path, "customer_id,gender\n1,m\n", allowed=["gendr"])


@pytest.mark.parametrize(
    ("name", "is_sensitive"),
    [
        ("age", True),
        ("Age_Group", True),
        ("date-of-birth", True),
        ("BirthDate", True),
        ("kunden_geschlecht", True),
        ("客户年龄", True),
        ("average_order", False),
        ("page", False),
        ("original_price", False),
        ("stage", False),
    ],
)
def test_names_that_may_be_sensitive(name, is_sensitive):
    assert may_be_sensitive(name, SENSITIVE_WORDS) == is_sensitive
