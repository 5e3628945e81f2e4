"""What training needs of memory: rows that are not copied, a step over a few columns at a time,
and memory that goes back to the system.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.scoring.parts import signed_log1p
from training.examples import Examples
from training.models import ridge


def examples_of(instants):
    rows = pa.table({"as_of": pa.array(instants, pa.int64()), "value": range(len(instants))})
    return Examples(rows, (), None, (), 0, ())


@given(st.lists(st.integers(0, 4)), st.sets(st.integers(0, 5)))
def test_the_rows_at_some_instants_are_all_of_theirs_in_order(instants, wanted):
    made = examples_of(instants)
    mask = pc.is_in(made.rows["as_of"], value_set=pa.array(sorted(wanted), pa.int64()))
    assert made.rows_at(wanted).equals(made.rows.filter(mask))


def test_the_rows_at_neighbouring_instants_are_not_copied():
    made = examples_of([1] * 1000 + [2] * 1000 + [3] * 1000)
    before = pa.total_allocated_bytes()
    assert made.rows_at([1, 2]).num_rows == 2000
    assert pa.total_allocated_bytes() == before


@pytest.mark.parametrize("columns", [1, 2, 15, 16, 17, 18, 33])
def test_blocks_of_columns_give_what_the_whole_matrix_gives(columns):
    rng = np.random.default_rng(columns)
    matrix = rng.lognormal(0, 3, (400, columns))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    matrix[:, columns // 2] = 7.0
    matrix[:, -1] = np.nan if columns > 2 else matrix[:, -1]
    frame, inputs, varies, sometimes = ridge._standardised(matrix, 1)
    whole, null = frame.standardise(matrix)
    assert varies.tolist() == np.flatnonzero(whole.std(axis=0) > 0).tolist()
    assert sometimes.tolist() == [at for at in range(columns) if 0 < null[:, at].sum() < 400]
    assert np.array_equal(inputs, np.hstack([whole[:, varies], null[:, sometimes] / 2]))
    logged = signed_log1p(matrix[:, varies])
    assert np.allclose(frame.mean[varies], np.nanmean(logged, axis=0))
    assert np.allclose(frame.scale[varies], np.nanstd(logged, axis=0))


HOLD_AND_FREE = """
from features.core.freed_memory import return_freed_memory
return_freed_memory()
import numpy as np, pyarrow as pa
def resident():
    return int(next(line for line in open("/proc/self/status") if "VmRSS" in line).split()[1])
# One is freed alone, so that the C library raises what it keeps for itself.
np.ones(3 << 20).sum()
before = resident()
blocks = [np.ones(1 << 20) for _ in range(40)]
tables = [pa.array(block + 1) for block in blocks]
last, held = blocks[-1][-1:].copy(), resident()
del blocks, tables
print(held - before, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_goes_back_to_the_system():
    said = subprocess.run([sys.executable, "-c", HOLD_AND_FREE], capture_output=True, check=True)
    held, kept = map(int, said.stdout.split())
    assert held > 500_000  # kB
    assert kept < held / 10
