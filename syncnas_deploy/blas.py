"""numpy's linear algebra with one thread.

The matrices here have a few hundred rows: several threads gain little, wait for each other where the machine has other
work (a fit took forty times as long), and make the last bits depend on their number.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def one_thread() -> AbstractContextManager[object]:
    """Within this block BLAS computes with one thread."""
    return _libraries().limit(limits=1)  # type: ignore[no-any-return]


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
