"""Which columns vary enough to learn from: a fit must not live on the last digits of a value.

The purchase model may find that nearly nobody ever drops out. Then its probability of still being a
customer is 1 but for a few millionths, in every row of the training. A ridge divides by that
spread; a month later the model is fitted anew, the values differ by a thousandth, and that is two
hundred spreads: a mean p of .76 where .34 was right.
"""

from __future__ import annotations

import numpy as np

# Of the largest value by magnitude. A year of birth has about .008, a probability of 1 ± .00001
# has .00001.
LEAST_SPREAD = 1e-4
# A spread below this is no unit for a ridge: differences of a thousandth say little.
LEAST_SCALE = 1e-3
SAMPLE_ROWS = 1_000


def varying(matrix: np.ndarray) -> np.ndarray:
    """Bool (columns,): the values that are not null have a spread worth learning from.

    Their standard deviation is at least LEAST_SPREAD of the largest value by magnitude. A column
    without values, or with one value, does not vary.

    >>> varying(np.array([[1.0, 0.9999999, 5.0], [2.0, 1.0, 5.0], [np.nan, 1.0, np.nan]])).tolist()
    [True, False, False]
    """
    if not len(matrix):
        return np.zeros(matrix.shape[1], dtype=bool)
    low, high = np.fmin.reduce(matrix), np.fmax.reduce(matrix)
    least = LEAST_SPREAD * np.nan_to_num(np.maximum(np.abs(low), np.abs(high)))
    # The squares of some rows about their own mean are never more than those of all rows about
    # theirs, so what varies enough among some needs no look at all of them: most columns.
    step = max(1, len(matrix) // SAMPLE_ROWS)
    result = (high > low) & (_squares(matrix[::step]) >= len(matrix) * least**2)
    for column in np.flatnonzero((high > low) & ~result):
        values = matrix[:, column]
        count = len(values) - np.isnan(values).sum()
        squares = _squares(values[:, None])[0]
        result[column] = squares >= count * least[column] ** 2
    return result


def _squares(block: np.ndarray) -> np.ndarray:
    """(columns,) the sum of the squared distances from the mean, nulls left out."""
    seen = ~np.isnan(block)
    mean = np.where(seen, block, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return np.where(seen, (block - mean) ** 2, 0).sum(axis=0)
