"""The figure of what a frozen language model reads from tokens, drawn from existing results.

For each question it shows the accuracy of `benchmarks.tokens.qa` with tokens, beside that of a
small network that was trained for the questions, and of both controls; and the learning curve.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import record

_BUDGET = 64


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_qa_figure", __doc__, out_help="PNG file to write")
    parser.set_defaults(out=record.ROOT / "docs" / "figures" / "token_qa.png")
    parser.add_argument(
        "--model",
        type=Path,
        default=record.RESULTS / "token_qa_words.json",
        help="results with the language model",
    )
    parser.add_argument(
        "--probe",
        type=Path,
        default=record.RESULTS / "token_probe_qa.json",
        help="results with the small network",
    )
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
    """Return the row of a result file that was measured with tokens."""
    rows = json.loads(path.read_text())["results"]["rows"]
    accuracy: dict[str, Any] = next(
        row for row in rows if row["source"] == "tokens" and row["budget"] == _BUDGET
    )
    return accuracy


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
    for number, (label, accuracy) in enumerate(bars.items()):
        left.bar(
            [index + (number - (len(bars) - 1) / 2) * width for index in range(len(names))],
            [100 * accuracy[name]["share"] for name in names],
            width,
            yerr=[100 * accuracy[name]["interval"] for name in names],
            error_kw={"elinewidth": 0.8},
            label=label,
        )
    for index, name in enumerate(names):
        chance = 100 * bars["the language model"][name]["chance"]
        left.hlines(chance, index - 0.45, index + 0.45, colors="black", linewidth=1)
    left.set_xticks(range(len(names)), names)
    left.set(ylabel="right answers, % (line: chance)", ylim=(0, 135))
    left.legend(ncols=2, fontsize="small")
    right.plot([point["clips"] for point in curve], [point["loss"] for point in curve])
    right.set(xlabel="clips through the model", ylabel="loss, mean over questions")
    right.grid(visible=True, alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
