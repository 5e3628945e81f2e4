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
BLOCK_COLUMNS = 16  # a step needs the memory of a few columns


def varying(matrix: np.ndarray) -> np.ndarray:
    """Bool (columns,): the values that are not null have a spread worth learning from.

    Their standard deviation is at least LEAST_SPREAD of the largest value by magnitude. A column
    without values, or with one value, does not vary.

    >>> varying(np.array([[1.0, 0.9999999, 5.0], [2.0, 1.0, 5.0], [np.nan, 1.0, np.nan]])).tolist()
    [True, False, False]
    """
    result = np.zeros(matrix.shape[1], dtype=bool)
    for start in range(0, matrix.shape[1], BLOCK_COLUMNS):
        block = matrix[:, start : start + BLOCK_COLUMNS]
        seen = ~np.isnan(block)
        count = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, block, 0).sum(axis=0) / count
        spread = np.sqrt(np.where(seen, (block - mean) ** 2, 0).sum(axis=0) / count)
        largest = np.where(seen, np.abs(block), 0).max(axis=0, initial=0)
        result[start : start + BLOCK_COLUMNS] = (spread > 0) & (spread >= LEAST_SPREAD * largest)
    return result
