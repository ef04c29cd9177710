"""Does it pay? A network of two branches beside the best that one would run otherwise, within the same latency.

Networks are compared by their rewards, or by the logarithm of their multiply-accumulates where no evaluator can compare
one branch with two. Latencies are never quite equal, so a rival is first moved to the network's latency, along the
slope at which the rival itself gains by more time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct

_Words = Annotated[str, Meta(max_length=2000)]
_Sentence = Annotated[str, Meta(min_length=1, max_length=2000)]
Answer = Literal["pays", "does not pay", "cannot tell"]

SIGMAS = 2.0
"""A difference of less than so many of its standard errors tells nothing."""
SLOPE_ERROR = 0.3
"""Relative error of a slope."""
GUESS = 0.1
"""Relative standard error of a latency that is a guess."""
USUAL_SLOPE = 1.2
"""d ln(MACs) / d ln(latency) of a network of one branch, where it cannot be computed."""


BY_MACS = "multiply-accumulates were compared, accuracy was not; train both to know"

MATCHED = 0.02
"""Relative difference of two latencies that are taken for the same."""
_MOST_GAIN = 50.0
"""ln of a ratio beyond which it is nothing but large."""

_OPENINGS: dict[Answer, str] = {
    "pays": "It pays",
    "does not pay": "It does not pay",
    "cannot tell": "Cannot tell whether it pays",
}
_SEEMING = {**_OPENINGS, "pays": "It seems to pay", "does not pay": "It seems not to pay"}
"""Where the numbers are doubtful."""


@dataclass(frozen=True)
class Contender:
    """A network on its units.

    Attributes:
        name: of the network.
        units: texts of its units.
        latency_us: measured or predicted, microseconds.
        macs: multiply-accumulates of one image.
        reward: larger is better; None where nothing rates it.
        standard_error: of the reward.
        slope: by how much the criterion grows with ln(latency); of a rival.
        latency_error: of a rival: relative standard error of the ratio of both latencies.
        guessed: of a rival: its latency is a guess, since nothing as wide was profiled.
        crossings_us: of a network of two branches: what each of its crossings costs, microseconds.
    """

    name: str
    units: str
    latency_us: float
    macs: int
    reward: float | None = None
    standard_error: float = 0.0
    slope: float = USUAL_SLOPE
    latency_error: float = 0.0
    guessed: bool = False
    crossings_us: Sequence[float] = ()


class Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether two branches pay.

    Attributes:
        answer: in words.
        sentence: for people, with the numbers.
        criterion: what was compared: "reward" or "MACs".
        rival, rival_units: the strongest rival; "" where there is none.
        gain: criterion of the network less that of the rival; of MACs the difference of logarithms.
        gain_error: its standard error.
        doubts: why it cannot tell, or what a reader should keep in mind.
    """

    answer: Answer
    sentence: _Sentence
    criterion: _Words
    rival: _Words = ""
    rival_units: _Words = ""
    gain: float | None = None
    gain_error: float | None = None
    doubts: Annotated[tuple[_Sentence, ...], Meta(max_length=32)] = ()

    @property
    def opening(self) -> str:
        """The answer as a headline: the sentence up to its first colon."""
        return self.sentence.partition(": ")[0]

    @property
    def in_short(self) -> str:
        """The headline in a cell of a table: "pays", "seems to pay", "cannot tell"."""
        return self.opening.removeprefix("It ").partition(" whether")[0].lower()

    @property
    def because(self) -> str:
        """The rest of the sentence: its numbers, or why there are none."""
        return self.sentence.partition(": ")[2]


def judge(
    ours: Contender,
    rivals: Sequence[Contender],
    *,
    doubts: Sequence[str] = (),
    doubtful: str = "",
    worthless: str = "",
    how: str = "measured",
) -> Verdict:
    """Compare a network with its rivals.

    Args:
        ours: the network of two branches.
        rivals: networks of one branch, by unit.
        doubts: sentences that go with the verdict and do not change it.
        doubtful: why the numbers are doubtful; "" where they are not. The answer is one that seems so, and this is its
            first doubt.
        worthless: why the numbers mean nothing; "" where they do.
        how: "measured" or "predicted".
    """
    by_reward = ours.reward is not None and bool(rivals) and all(rival.reward is not None for rival in rivals)
    criterion = "reward" if by_reward else "MACs"
    openings = _SEEMING if doubtful else _OPENINGS
    doubts = [*filter(None, [doubtful]), *doubts]
    if worthless:
        return Verdict("cannot tell", f"{_OPENINGS['cannot tell']}: {worthless}.", criterion, doubts=tuple(doubts))
    if not rivals:
        why = f"no network of one branch takes {_ms(ours.latency_us)} ms or less on any unit that was profiled"
        return Verdict("pays", f"{openings['pays']}: {why}.", criterion, doubts=tuple(doubts))

    def value(one: Contender) -> float:
        return float(one.reward) if by_reward and one.reward is not None else math.log(one.macs)

    def gain(rival: Contender) -> float:
        return value(ours) - value(rival) - rival.slope * math.log(ours.latency_us / rival.latency_us)

    rival = min(rivals, key=gain)
    found = gain(rival)
    apart = abs(math.log(ours.latency_us / rival.latency_us))
    error = abs(rival.slope) * math.hypot(rival.latency_error, SLOPE_ERROR * apart, GUESS * rival.guessed)
    if by_reward:
        error = math.hypot(error, ours.standard_error, rival.standard_error)
    if not (math.isfinite(found) and math.isfinite(error)):
        text = f"{_OPENINGS['cannot tell']}: the rewards are too large to be compared."
        return Verdict("cannot tell", text, criterion, rival.name, rival.units, doubts=tuple(doubts))
    answer: Answer = "cannot tell"
    if abs(found) > SIGMAS * error:
        answer = "pays" if found > 0 else "does not pay"
    notes = [*doubts, *([] if by_reward else [BY_MACS])]
    if how == "measured" and apart > MATCHED:
        longer = rival.latency_us / ours.latency_us - 1
        notes.append(f"the rival's latency could not be brought nearer than {longer:+.0%}, and was corrected for that")
    if rival.guessed:
        wide = f"nothing as wide as {rival.name} was profiled on {rival.units}"
        notes.append(f"{wide}, so its latency is a guess; bench it")
    sentence = f"{openings[answer]}: {_comparison(ours, rival, found, error, by_reward=by_reward, how=how)}."
    return Verdict(answer, sentence, criterion, rival.name, rival.units, round(found, 6), round(error, 6), tuple(notes))


def _comparison(ours: Contender, rival: Contender, gain: float, error: float, *, by_reward: bool, how: str) -> str:
    times = f"{_ms(ours.latency_us)} ms against {_ms(rival.latency_us)} ms, {how}"
    if ours.crossings_us:
        times += f", with {crossings_text(ours.crossings_us)}"
    work = f"{ours.macs / 1e6:.0f} M MACs against {rival.macs / 1e6:.0f} M"
    other = f"the best of one branch, {rival.name} on {rival.units}"
    if by_reward:
        assert ours.reward is not None and rival.reward is not None
        mine, theirs = (_number(reward, 4) for reward in (ours.reward, rival.reward))
        apart = f"{_number(abs(gain), 2)} {'less' if gain < 0 else 'more'} (standard error {_number(error, 2)})"
        return f"its reward is {mine}, that of {other}, is {theirs}: in the same time {apart} ({work}; {times})"
    low, high = (_ratio(gain + sign * SIGMAS * error) for sign in (-1, 1))
    ratio = f"{_ratio(gain):.2f} times ({low:.2f} to {high:.2f})"
    return f"in the same time it does {ratio} the work of {other} ({work}; {times})"


def crossings_text(costs_us: Sequence[float]) -> str:
    """How many crossings there are, one at least, and what each costs."""
    least, most = (f"{us:,.0f}" for us in (min(costs_us), max(costs_us)))
    each = f"{least} us" if least == most else f"{least} to {most} us"
    return f"{len(costs_us)} crossing{'s' * (len(costs_us) > 1)} of {each}"


def _ratio(log: float) -> float:
    return math.exp(max(-_MOST_GAIN, min(_MOST_GAIN, log)))


def no_hardware(simulated: bool, software_gpu: bool) -> Iterator[str]:
    """The doubts of a verdict on units that are no hardware."""
    if simulated:
        yield "the units are SIMULATED: no hardware was measured"
    if software_gpu:
        yield "a SOFTWARE GPU was measured: its times say nothing about a GPU"


def _number(value: float, digits: int) -> str:
    """A number in few digits; without an exponent while people can read all of it."""
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e9 else text


def _ms(us: float) -> str:
    return f"{us / 1e3:#.3g}" if us < 99_950 else f"{us / 1e3:.0f}"
