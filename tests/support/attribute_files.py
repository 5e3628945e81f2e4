"""A business of forty customers whose attributes a test writes, and the columns they become."""

from __future__ import annotations

from features.core.config_schema import SENSITIVE_WORDS
from features.core.instants import DAY_US
from features.core.settings import settings_from_mapping
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables import history

SALES = "customer_id,occurred_at,amount\n" + "".join(
    f"{who},2024-0{month}-05,{10 + who}\n" for who in range(40) for month in range(1, 7)
)


def read(
    folder,
    customers,
    *,
    constant=(),
    select="SELECT * FROM customers",
    off=(),
    allowed=(),
    words=SENSITIVE_WORDS,
):
    """(history, counts, settings) of forty customers who buy monthly, with this customers.csv."""
    (folder / "customers.csv").write_text(customers, encoding="utf-8")
    (folder / "sales.csv").write_text(SALES)
    stated = settings_from_mapping(
        {
            "business": {"zone": "UTC"},
            "files": {"customers": "customers.csv", "sales": "sales.csv"},
            "tables": {"customers": select, "transactions": "SELECT * FROM sales"},
            "churn": {"horizon_days": 30},
            "contract": {"data_until": "2024-07-01", "constant_attributes": list(constant)},
            "features": {
                "off": list(off),
                "sensitive_allowed": list(allowed),
                "sensitive": list(words),
            },
        },
        folder=folder,
        where="test",
    )
    return (*history.load_history(stated), stated)


def attribute_rows(found, stated, *, days_back=0):
    """customer -> the columns of the family, and the definitions."""
    at = found.data_until - days_back * DAY_US
    known = found.as_of(at)
    definitions = learn_definitions(known, stated)
    chosen = [
        c for c in columns_for(found, definitions, stated) if c.feature.family == "attributes"
    ]
    rows = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=chosen,
    )
    return {
        row["customer_id"]: row
        for row in rows.select(["customer_id", *(c.name for c in chosen)]).to_pylist()
    }


def plain(row):
    return {name: value for name, value in row.items() if name != "customer_id"}
