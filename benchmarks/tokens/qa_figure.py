"""What a frozen language model reads from tokens, drawn from measurements that are there already.

Of each question the answers of `benchmarks.tokens.qa` with tokens, beside those of a small network
that was trained for them, and of both controls; and what training came to on the way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import record

_BUDGET = 64


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_qa_figure", __doc__)
    parser.set_defaults(out=record.ROOT / "docs" / "figures" / "token_qa.png")
    parser.add_argument("--model", type=Path, default=record.RESULTS / "token_qa_words.json")
    parser.add_argument("--probe", type=Path, default=record.RESULTS / "token_probe_qa.json")
    options = parser.parse_args(argv)
    model, probe = (_row(path) for path in (options.model, options.probe))
    bars = {
        "the language model": model["accuracy"],
        "a small network, trained": probe["accuracy"],
        "the model, of another clip": model["controls"]["another clip"],
        "the model, of nothing": model["controls"]["nothing"],
    }
    _draw(bars, model["curve"], options.out)


def _row(path: Path) -> dict[str, Any]:
    """What was measured with tokens."""
    rows = json.loads(path.read_text())["results"]["rows"]
    found: dict[str, Any] = next(
        row for row in rows if row["source"] == "tokens" and row["budget"] == _BUDGET
    )
    return found


def _draw(
    bars: dict[str, dict[str, dict[str, float]]], curve: list[dict[str, float]], path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(10, 4), layout="constrained", width_ratios=(3, 1)
    )
    names = list(next(iter(bars.values())))
    width = 0.8 / len(bars)
    for number, (label, found) in enumerate(bars.items()):
        left.bar(
            [place + (number - (len(bars) - 1) / 2) * width for place in range(len(names))],
            [100 * found[name]["share"] for name in names],
            width,
            yerr=[100 * found[name]["interval"] for name in names],
            error_kw={"elinewidth": 0.8},
            label=label,
        )
    for place, name in enumerate(names):
        chance = 100 * bars["the language model"][name]["chance"]
        left.hlines(chance, place - 0.45, place + 0.45, colors="black", linewidth=1)
    left.set_xticks(range(len(names)), names)
    left.set(ylabel="right answers, % (line: chance)", ylim=(0, 135))
    left.legend(ncols=2, fontsize="small")
    right.plot([one["clips"] for one in curve], [one["loss"] for one in curve])
    right.set(xlabel="clips through the model", ylabel="loss, mean over questions")
    right.grid(visible=True, alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
