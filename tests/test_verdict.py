"""The verdict: what pays, what does not, and when it cannot tell."""

from __future__ import annotations

import dataclasses
import math

import pytest

from syncnas_deploy.verdict import BY_MACS, Contender, Verdict, judge

OURS = Contender("mine", "cpu and gpu", 10_000.0, 330_000_000)
RIVAL = Contender("base_x1.00", "gpu", 10_000.0, 300_000_000, slope=1.5, latency_error=0.01)


@pytest.mark.parametrize(
    ("macs", "latency_error", "answer"),
    [
        (330e6, 0.01, "pays"),  # 10 % more, known within 3 %
        (330e6, 0.05, "cannot tell"),  # known within 15 %
        (308e6, 0.01, "cannot tell"),
        (270e6, 0.01, "does not pay"),
        (270e6, 0.05, "cannot tell"),
    ],
)
def test_a_difference_counts_where_it_is_larger_than_its_error(macs: float, latency_error: float, answer: str) -> None:
    found = judge(dataclasses.replace(OURS, macs=int(macs)), [dataclasses.replace(RIVAL, latency_error=latency_error)])
    assert found.answer == answer and found.criterion == "MACs" and BY_MACS in found.doubts
    assert found.gain == pytest.approx(math.log(macs / 300e6), abs=1e-6)
    assert found.gain_error == pytest.approx(1.5 * latency_error)


def test_the_strongest_rival_counts_after_it_was_brought_to_the_same_latency() -> None:
    # At 5 ms it has 260 M; with twice the time it has 260 * 2 ** 1.5 = 735 M, more than the one with 300 M.
    quick = Contender("base_x0.87", "cpu", 5_000.0, 260_000_000, slope=1.5)
    found = judge(OURS, [RIVAL, quick])
    assert (found.rival, found.rival_units, found.answer) == ("base_x0.87", "cpu", "does not pay")
    late = judge(OURS, [dataclasses.replace(RIVAL, latency_us=12_000.0)])
    assert late.gain == pytest.approx(math.log(1.1) + 1.5 * math.log(1.2), abs=1e-6)


def test_a_rival_whose_latency_is_a_guess_tells_little() -> None:
    guess = dataclasses.replace(RIVAL, guessed=True)
    found = judge(OURS, [guess], how="predicted")
    assert found.answer == "cannot tell" and found.gain_error == pytest.approx(1.5 * math.hypot(0.01, 0.1))
    assert "nothing as wide as base_x1.00 was profiled on gpu, so its latency is a guess; bench it" in found.doubts


def test_what_is_far_apart_in_time_is_known_less_well() -> None:
    far = dataclasses.replace(RIVAL, latency_us=7_000.0)
    found = judge(OURS, [far])
    assert found.gain_error == pytest.approx(1.5 * math.hypot(0.01, 0.3 * math.log(10 / 7)))


def test_rewards_count_where_all_have_one() -> None:
    ours = dataclasses.replace(OURS, macs=1, reward=0.71, standard_error=0.003)
    rated = dataclasses.replace(RIVAL, reward=0.70, standard_error=0.004, slope=0.1)
    found = judge(ours, [rated])
    assert (found.criterion, found.answer) == ("reward", "cannot tell") and found.gain_error == pytest.approx(
        0.0051, abs=1e-4
    )
    sure = judge(dataclasses.replace(ours, reward=0.72), [rated])
    assert sure.answer == "pays" and BY_MACS not in sure.doubts
    assert "its reward is 0.72, that of the best of one branch, " in sure.sentence
    assert ", is 0.7: in the same time 0.02 more (standard error 0.0051) (" in sure.sentence
    assert judge(ours, [rated, RIVAL]).criterion == "MACs"


@pytest.mark.parametrize(
    ("reward", "rival", "says"),
    [
        (-1740.0, -384.0, "its reward is -1740, that of"),
        (-1740.0, -384.0, "is -384: in the same time 1,356 less (standard error 0.015) ("),
        (123456.0, 98765.4, "is 98,765: in the same time 24,691 more"),
        (0.71, 0.70999, "in the same time 1e-05 more"),
        (1e12, 2e12, "in the same time 1e+12 less"),
    ],
)
def test_rewards_of_any_size_are_read_at_a_glance(reward: float, rival: float, says: str) -> None:
    rated = dataclasses.replace(RIVAL, latency_us=OURS.latency_us, reward=rival)
    assert says in judge(dataclasses.replace(OURS, reward=reward), [rated]).sentence


def test_worthless_numbers_give_no_verdict() -> None:
    found = judge(OURS, [RIVAL], worthless="worthless: launches differ by 40%")
    assert found.answer == "cannot tell" and found.gain is None
    assert found.sentence == "Cannot tell whether it pays: worthless: launches differ by 40%."


@pytest.mark.parametrize(
    ("macs", "opening"),
    [(330e6, "It seems to pay"), (270e6, "It seems not to pay"), (308e6, "Cannot tell whether it pays")],
)
def test_doubtful_numbers_only_seem(macs: float, opening: str) -> None:
    found = judge(dataclasses.replace(OURS, macs=int(macs)), [RIVAL], doubts=["b"], doubtful="it is doubtful: a load")
    assert found.opening == opening and found.doubts == ("it is doubtful: a load", "b", BY_MACS)
    assert found.sentence == f"{found.opening}: {found.because}"
    assert judge(OURS, [], doubtful="x").opening == "It seems to pay"


def test_without_a_rival_two_branches_pay() -> None:
    found = judge(OURS, [])
    assert found.answer == "pays" and found.rival == ""
    assert found.sentence == "It pays: no network of one branch takes 10.0 ms or less on any unit that was profiled."


def test_rewards_that_cannot_be_compared_give_no_verdict() -> None:
    ours = dataclasses.replace(OURS, reward=1e308, standard_error=1e300)
    found = judge(ours, [dataclasses.replace(RIVAL, reward=-1e308, slope=1e308)])
    assert found.answer == "cannot tell" and found.gain is None


@pytest.mark.parametrize(
    ("crossings_us", "told"),
    [
        ((), "measured)"),
        ((1030.4,), "measured, with 1 crossing of 1,030 us)"),
        ((20.0, 20.2, 19.9), "measured, with 3 crossings of 20 us)"),
        ((110.0, 1030.0), "measured, with 2 crossings of 110 to 1,030 us)"),
    ],
)
def test_what_crossings_cost_stands_beside_what_they_bring(crossings_us: tuple[float, ...], told: str) -> None:
    ours = Contender("ours", "cpu and gpu", 10_000.0, 400_000_000, crossings_us=crossings_us)
    rival = Contender("base", "gpu", 10_000.0, 300_000_000, latency_error=0.005)
    assert judge(ours, [rival]).sentence.endswith(f"({'400 M MACs against 300 M'}; 10.0 ms against 10.0 ms, {told}.")


@pytest.mark.parametrize(
    ("sentence", "short"),
    [
        ("It pays: in the same time", "pays"),
        ("It does not pay: 0.9 times", "does not pay"),
        ("It seems to pay: 1.1 times", "seems to pay"),
        ("It seems not to pay: 0.9 times", "seems not to pay"),
        ("Cannot tell whether it pays: worthless", "cannot tell"),
    ],
)
def test_in_a_cell_it_is_as_doubtful_as_in_its_headline(sentence: str, short: str) -> None:
    assert Verdict("cannot tell", sentence, "MACs").in_short == short
