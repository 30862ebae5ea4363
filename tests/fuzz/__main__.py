"""Fuzz: damaged files with right checksums, read in every way, for a fixed time.

    python -m tests.fuzz --seconds 600 --seed 0
    python -m tests.fuzz --case 0:1234          repeats one case and prints what happens

Files of all model families, with tokens, tracks and predicted segments, are damaged so that every
checksum is right. A finding is anything but a result or a typed error, a peak of memory above the
bound of `docs/bitstream.md`, and a hang.
"""

from __future__ import annotations

import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.harness import record
from tests.fuzz.child import Report, run
from tests.fuzz.mutations import mutate

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "v1"
WAYS = 3


def sources() -> dict[str, bytes]:
    """Return the intact files by name: the golden streams, which are of all kinds."""
    return {path.parent.name: path.read_bytes() for path in sorted(GOLDEN.glob("*/stream.nvc"))}


def case(files: dict[str, bytes], seed: int, number: int) -> tuple[str, list[str], bytes]:
    """Return the source, the mutations and the bytes of a case."""
    chance = random.Random(f"{seed}:{number}")
    name = chance.choice(sorted(files))
    damaged, mutations = mutate(files[name], list(files.values()), chance)
    return name, mutations, damaged


def try_case(files: dict[str, bytes], seed: int, number: int) -> tuple[str, list[str], Report]:
    """Run a case; return its source, its mutations and what became of it."""
    name, mutations, damaged = case(files, seed, number)
    return name, mutations, run(damaged, f"{seed}:{number}:ways", WAYS)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("fuzz", __doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="time to run")
    parser.add_argument("--seed", type=int, default=0, help="seed of all cases")
    parser.add_argument("--case", metavar="SEED:NUMBER", help="repeat one case, write nothing")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    logging.disable()
    files = sources()
    # What every case needs is loaded once; cases are forks of this process.
    warm(files)
    if options.case:
        seed, number = map(int, options.case.split(":"))
        name, mutations, report = try_case(files, seed, number)
        print(name, mutations, report)  # noqa: T201
        sys.exit(bool(report.findings))
    started, number = time.monotonic(), 0
    by_source: Counter[str] = Counter()
    by_mutation: Counter[str] = Counter()
    by_way: dict[str, Counter[str]] = {}
    findings: list[dict[str, object]] = []
    largest = 0.0
    while time.monotonic() < started + options.seconds:
        name, mutations, report = try_case(files, options.seed, number)
        by_source[name] += 1
        by_mutation.update(mutations)
        for way, outcome in report.outcomes:
            kind = "finding" if outcome[0] == "!" else outcome
            by_way.setdefault(way, Counter())[kind] += 1
        largest = max(largest, report.peak / report.bound)
        if report.findings:
            findings.append({"case": f"{options.seed}:{number}", "findings": report.findings})
            print(findings[-1], file=sys.stderr)  # noqa: T201
        number += 1
    results = {
        "seed": options.seed,
        "seconds": round(time.monotonic() - started, 1),
        "files": number,
        "reads": sum(sum(outcomes.values()) for outcomes in by_way.values()),
        "sources": dict(sorted(by_source.items())),
        "mutations": dict(sorted(by_mutation.items())),
        "outcomes": {way: dict(sorted(found.items())) for way, found in sorted(by_way.items())},
        "largest_share_of_bound": round(largest, 3),
        "findings": findings,
    }
    rows = tuple(
        (
            way.replace("_", " "),
            str(found.total()),
            str(found["result"]),
            str(found.total() - found["result"] - found["finding"]),
            str(found["finding"]),
        )
        for way, found in sorted(by_way.items())
    )
    table = record.ResultTable(
        ("read", "files", "results", "typed errors", "findings"),
        rows,
        f"{number} damaged files of {len(files)} sources; {len(findings)} findings.",
    )
    record.write(options.out, results, {"main": table})
    sys.exit(bool(findings))


def warm(files: dict[str, bytes]) -> None:
    """Import what decoding needs, and fill its caches, in this process."""
    from tests.fuzz.exercise import exercise

    for name in sorted(files):
        exercise(files[name], random.Random(name), 20)


if __name__ == "__main__":
    main()
