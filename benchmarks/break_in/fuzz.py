"""Fuzzers of everything foreign that the program reads: documents, archives, libraries, weights, phones, servers.

    python -m benchmarks.break_in.fuzz [--minutes M] [--only NAME] [--seed S] [--keep FOLDER]

Each target gets its share of the time. A finding is a traceback, a message that is no sentence, a case that takes over
10 s of CPU time or 512 MB more of memory, a file outside of where it belongs, or a wrong access in native code. Inputs
of findings are kept. Exit code 1 if there was one. `tests/test_fuzzing.py` runs fixed cases of the same targets.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from syncnas_deploy.bundle import write_bundle
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from tests.support import tflite_fuzz
from tests.support.fuzz_targets import TARGETS
from tests.support.fuzzing import Fuzzer
from tests.support.hostile import CASES, sandbox
from tests.support.picture_cases import small_branched

NATIVE_BATCH = 20_000


def run(name: str, case: Callable[[int], str], *, seconds: float, seed: int) -> list[str]:
    """Cases until the time is over; prints what came of them and returns the first of each kind that should not."""
    counts: Counter[str] = Counter()
    found: dict[str, str] = {}
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s or not counts:
        outcome = case(seed)
        kind = outcome.partition(":")[0].partition('"')[0].partition("'")[0].strip()
        counts[kind] += 1
        if kind not in ("read", "refused", "taken as it is"):
            found.setdefault(kind, f"{name}, seed {seed}: {outcome}")
        seed += 1
    told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    print(f"{name:20} {counts.total():8} cases: {told}", flush=True)
    return list(found.values())


def native(folder: Path, kept: Path, *, seconds: float, seed: int) -> list[str]:
    """The same for .tflite files, in batches."""
    program = tflite_fuzz.built()
    if program is None:
        print("native .tflite check: left out, there is no C compiler with AddressSanitizer and UBSan (cc)")
        return []
    config = small_branched()
    bundle = write_bundle(folder / "b", config, random_weights(parameter_shapes(config), 0), source="the fuzzer")
    read = refused = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s or not read + refused:
        branch = seed % len(config.stages[0].branches)
        try:
            batch = tflite_fuzz.check(program, bundle.tflite(branch), folder / "bad", count=NATIVE_BATCH, seed=seed)
        except AssertionError as error:
            kept.mkdir(parents=True, exist_ok=True)
            (folder / "bad").replace(kept / f"tflite-{seed}")
            return [f"native .tflite check, seed {seed}: WRONG ACCESS {error}"]
        read, refused, seed = read + batch[0], refused + batch[1], seed + 1
    print(f"{'native .tflite check':20} {read + refused:8} cases: {refused} refused, {read} read", flush=True)
    return []


def main() -> None:
    """Run all targets, or those whose names hold a text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="for all targets together; default: 60")
    parser.add_argument("--only", default="", help="targets whose names hold this text")
    parser.add_argument("--seed", type=int, default=None, help="of the first case; default: another one each time")
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="folder for inputs of findings")
    args = parser.parse_args()
    seed = random.randrange(10**9) if args.seed is None else args.seed
    files = [name for name in TARGETS if args.only in name]
    phones = [name for name in CASES if args.only in name]
    with_native = args.only in "native .tflite check"
    seconds = 60 * args.minutes / max(1, len(files) + len(phones) + with_native)
    print(f"first seed {seed}, {seconds:.0f} s for each target", flush=True)
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="syncnas-fuzz-") as text:
        for at, name in enumerate(files):
            (good := Path(text) / f"{at}" / "good").mkdir(parents=True)
            (scratch := Path(text) / f"{at}" / "case").mkdir()
            fuzzer = Fuzzer(name, TARGETS[name](good), scratch, args.keep)
            found += run(name, fuzzer.case, seconds=seconds, seed=seed)
        if with_native:
            found += native(Path(text), args.keep, seconds=seconds, seed=seed)
        if phones:
            with sandbox() as box:
                for name in phones:

                    def case(at: int, name: str = name) -> str:
                        return box.provoke(CASES[name], random.Random(f"{name} {at}"))

                    found += run(name, case, seconds=seconds, seed=seed)
    print(*found, sep="\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
