"""What one call on a simulated unit spends, and the words for it in a plan. `bench/native/simulated.c` reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from syncnas_bench.errors import PlanError

MAX_US = 1e9


@dataclass(frozen=True)
class Spend:
    """The time that a simulated call takes, microseconds, before the unit's vices.

    Attributes:
        run_us: the call itself.
        download_us: to bring its output to the host, spent where the partner reads it.
        upload_us: to bring each input from the partner to the unit.
        open_us: before that, what needs nothing of the partner; a lane that waits for its partner spends it ahead.
        shared: share of the call spent on memory that both units use, 0 to 1. The higher it is, the more two
            concurrent calls slow each other.

    Raises:
        PlanError: a field is out of its range.
    """

    run_us: float = 0.0
    download_us: float = 0.0
    upload_us: float = 0.0
    shared: float = 1.0
    open_us: float = 0.0

    def __post_init__(self) -> None:
        for value in (self.run_us, self.download_us, self.upload_us, self.open_us):
            if not (math.isfinite(value) and 0 <= value <= MAX_US):
                raise PlanError(f"a simulated call spends {value} us; a time is in 0..{MAX_US:.0f} microseconds.")
        if not 0 <= self.shared <= 1:
            raise PlanError(f"a simulated call shares {self.shared}; a share is in 0..1.")

    @property
    def words(self) -> str:
        """As the plan's text has it."""
        ahead = f"open_us={self.open_us:.3f} " if self.open_us else ""
        return (
            f"run_us={self.run_us:.3f} download_us={self.download_us:.3f} "
            f"upload_us={self.upload_us:.3f} {ahead}shared={self.shared:.3f}"
        )
