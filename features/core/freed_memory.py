"""Give memory back to the system once it is free.

By default the C library keeps freed blocks of up to 32 MB for itself, and Arrow's own allocator
keeps what it once had: a training on 80,000 rows held half as much again as it used.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

MMAP_THRESHOLD, ARENA_MAX = -3, -8  # M_MMAP_THRESHOLD and M_ARENA_MAX of <malloc.h>
FEW_ARENAS = 2  # of the C library's heaps; by default eight for each core
OWN_MAPPING_BYTES = 4 << 20  # a larger block is mapped alone, and unmapped when it is freed


def _c_function(name: str) -> Callable[..., int] | None:
    """A function of the C library; None where it has none of this name."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None


def trim_memory() -> None:
    """Give back at once what is free between blocks in use, where the C library can (glibc)."""
    malloc_trim = _c_function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def return_freed_memory() -> None:
    """Settings of this process, to be called before Arrow is imported.

    They concern the memory of the process alone, never a result. Where the C library is another
    than glibc its default stays.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return  # the owner of the machine has chosen
    mallopt = _c_function("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, OWN_MAPPING_BYTES)
        mallopt(ARENA_MAX, FEW_ARENAS)
