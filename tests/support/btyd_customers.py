"""Customers and models for BG/NBD: drawn, played, and counted slowly."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from features.recipes import btyd

PUBLISHED = btyd.BgNbd(0.243, 4.414, 0.793, 2.426, -9582.4, True, 2357)
SCORES = {
    "p_alive": btyd.p_alive,
    "p_no_activity": lambda model, **seen: btyd.p_no_activity(model, **seen, horizon=13.0),
    "expected_activity": lambda model, **seen: btyd.expected_activity(model, **seen, horizon=13.0),
}

positive = st.floats(0.05, 50.0)
models = st.builds(
    lambda r, alpha, a, b: btyd.BgNbd(r, alpha, a, b, 0.0, True, 1),
    positive,
    positive,
    positive,
    positive,
)
customers = st.lists(
    st.tuples(st.integers(0, 300), st.floats(0.0, 1.0), st.floats(0.0, 500.0)),
    min_size=1,
    max_size=20,
).map(lambda rows: seen(*(np.array(column) for column in zip(*rows, strict=True))))
horizons = st.floats(0.0, 1e4)
laws = settings(deadline=None, max_examples=60)


def seen(repeats, share, age):
    """Customers whose last repeat came at a share of their age."""
    return {
        "repeats": repeats,
        "last": np.where(repeats > 0, share * age, 0.0),
        "age": np.asarray(age, dtype=float),
    }


def parameters(model):
    return model.r, model.alpha, model.a, model.b


def some_customers(count, seed=0):
    rng = np.random.default_rng(seed)
    return seen(
        rng.poisson(rng.gamma(0.5, 6.0, count)), rng.random(count), rng.uniform(0.1, 80.0, count)
    )


def simulated(model, ages, horizon, seed):
    """Play the story of the module: what is seen of each until `age`, and its count in the
    horizon.
    """
    rng = np.random.default_rng(seed)
    pause = 1 / rng.gamma(model.r, 1 / model.alpha, len(ages))
    leaves = rng.beta(model.a, model.b, len(ages))
    now, last, repeats, later = np.zeros((4, len(ages)))
    alive = np.full(len(ages), True)
    while alive.any():
        now = now + rng.exponential(pause)
        before, after = alive & (now <= ages), alive & (now > ages) & (now <= ages + horizon)
        repeats, later, last = repeats + before, later + after, np.where(before, now, last)
        alive &= (now <= ages + horizon) & (rng.random(len(ages)) > leaves)
    return {"repeats": repeats, "last": last, "age": ages}, later


def is_nought_on_average(errors):
    return abs(errors.mean()) < 4 * errors.std() / math.sqrt(len(errors))
