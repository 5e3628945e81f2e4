"""Lifetime value in a release: its file, its settings, and nothing from later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.core import errors
from features.core.settings import settings_from_mapping
from features.recipes.population_stats import PopulationStats
from serving.release.json_files import read_json, write_json
from serving.release.value_file import FILE, read_value, write_value
from serving.scoring.lifetime_value import (
    LifetimeValue,
)
from tests.support.values import answers_of, refitted
from training.value import released_value


def test_a_value_comes_back_from_its_file_and_contradictions_are_refused(business, tmp_path):
    value, curve = business.release.value, business.release.curve
    columns = tuple(column.name for column in business.release.columns)
    write_value(value, tmp_path)
    read = read_value(tmp_path, "r", business.settings, columns, curve)
    rows, p = refitted(business)[1:]
    for name, each in answers_of(business, value, rows, p).items():
        np.testing.assert_array_equal(answers_of(business, read, rows, p)[name], each)
    write_value(None, tmp_path)
    assert read_value(tmp_path, "r", business.settings, columns, curve) is None
    write_value(value, tmp_path)
    other = business.settings.model_copy(
        update={"value": business.settings.value.model_copy(update={"margin": 0.5})}
    )
    for config, known, shape in (
        (other, columns, curve),
        (business.settings, (), curve),
        (business.settings, columns, None),
        (business.settings, columns, replace(curve, horizons=(1, 2, 3))),
    ):
        with pytest.raises(errors.ReleaseRefused, match="value"):
            read_value(tmp_path, "r", config, known, shape)
    content = read_json(tmp_path / FILE, "r")
    content["value"]["spread"]["low"][0][0] = 1e9
    write_json(tmp_path / FILE, content)
    with pytest.raises(errors.ReleaseRefused, match="ends before it begins"):
        read_value(tmp_path, "r", business.settings, columns, curve)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("margin", 0),
        ("margin", -0.2),
        ("margin", 1.5),
        ("margin", float("nan")),
        ("annual_discount", -0.1),
        ("days", 0),
        ("days", 10_000),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_its_name(key, wrong, tmp_path):
    mapping = {"tables": {"transactions": "SELECT 1"}, "value": {key: wrong}}
    with pytest.raises(errors.BadSetting, match=rf"value\.{key}"):
        settings_from_mapping(mapping, folder=tmp_path, where="lifecycle.toml")


def test_days_and_margin_are_of_the_release_and_tiers_are_not(tmp_path):
    def definitions(**value: object) -> dict:
        mapping = {"tables": {"transactions": "SELECT 1"}, "value": value}
        return settings_from_mapping(mapping, folder=tmp_path, where="t").definitions()

    assert definitions() == definitions(tiers={"a": 0.5, "b": 0.5})
    assert definitions() != definitions(margin=0.5)
    assert definitions() != definitions(days=90)


def test_the_population_of_a_value_is_none_of_later(trained_shop):
    """A value of early rows knows no statistic of a later instant."""
    examples, config = trained_shop.examples, trained_shop.settings
    first = min(each.as_of for each in examples.population_stats)
    rows = examples.rows_at([first])
    p = trained_shop.release.scorer.p_churn(rows)

    def value_with(stats: tuple[PopulationStats, ...]) -> LifetimeValue | None:
        of = replace(examples, population_stats=stats)
        return released_value(rows, p, trained_shop.release.curve, of, config)

    stats = examples.population_stats
    scrambled = tuple(
        each if each.as_of == first else replace(each, r=9.0, alpha=1.0, money_v=1.0)
        for each in stats
    )
    one, two = value_with(stats), value_with(scrambled)
    assert one is not None
    assert one.model.models == two.model.models
    np.testing.assert_array_equal(one.model.weights, two.model.weights)
