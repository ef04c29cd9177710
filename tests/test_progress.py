"""Progress: the total is steady, the share never falls, and what is left goes by the pace of what was really done."""

from __future__ import annotations

import pytest

from syncnas_deploy import progress
from syncnas_deploy.progress import Pace, Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; each look at it takes a second."""
    now = [0.0]

    def monotonic() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(progress.time, "monotonic", monotonic)  # type: ignore[attr-defined]
    return now


def told(pace_of: list[Progress]) -> list[tuple[int, int, float | None]]:
    return [(p.done, p.total, p.eta_s) for p in pace_of]


def test_each_part_counts_and_what_is_left_goes_by_the_pace(clock: list[float]) -> None:
    seen: list[Progress] = []
    pace = Pace(seen.append, 4, done=1)
    pace.begin("first")
    pace.step("second")
    pace.step("third", parts=2, so_far="best 1")
    assert told(seen) == [(1, 4, None), (2, 4, 4.0), (4, 4, 0.0)]
    assert [(p.doing, p.so_far) for p in seen] == [("first", ""), ("second", ""), ("third", "best 1")]


@pytest.mark.parametrize(
    ("left", "done"),
    [
        (8, 3),  # as was thought
        (3, 8),  # fewer: the share jumps, and the pace is that of what was done
        (12, 2),  # more: the share waits where it is
    ],
)
def test_more_or_fewer_parts_than_were_thought(left: int, done: int, clock: list[float]) -> None:
    seen: list[Progress] = []
    pace = Pace(seen.append, 10)
    pace.step("a")
    pace.step("b")
    pace.expect(left)
    pace.step("c")
    found = seen[-1]
    assert (found.done, found.total) == (done, 10)
    assert found.eta_s == pytest.approx((left - 1) * 3.0 / 3)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
