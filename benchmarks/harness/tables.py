"""Fill documents with measurements, so that every number there comes from a JSON file.

    <!-- table: fit_speed -->               all tables of benchmarks/results/fit_speed.json,
    <!-- end -->                            with commit, command and machine
    <!-- table: random_access files -->     one of the tables of a file
    <!-- end -->
    <!-- value: fit_speed speedup.median .2f -->3.14<!-- end -->

The text between the comments is replaced; everything else stays as it is.
"""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.record import RESULTS, ROOT

_BLOCK = re.compile(r"<!-- (table|value): ([^>]+?) -->(.*?)<!-- end -->", re.DOTALL)
_MISSING = "not measured yet"
_COLUMNS = 118  # Columns of a line of Markdown; rows of tables cannot be wrapped.
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "docs" / "benchmarks.md",
    ROOT / "docs" / "experiments.md",
    ROOT / "docs" / "models.md",
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.harness.tables", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        default=DOCUMENTS,
        help="Markdown files; by default README.md and those in docs/ that have tables",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        help="folder of the JSON files; by default benchmarks/results",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a document is out of date"
    )
    options = parser.parse_args(argv)
    stale = []
    for path in options.files:
        before = path.read_text()
        after = fill(before, options.results)
        if after == before:
            continue
        stale.append(str(path))
        if not options.check:
            path.write_text(after)
            print(f"updated: {path}")
    if options.check and stale:
        raise SystemExit(
            f"out of date, run python -m benchmarks.harness.tables: {', '.join(stale)}"
        )


def fill(text: str, results: Path) -> str:
    """Fill every marked place of a document.

    Args:
        text: Markdown.
        results: Folder of the JSON files.

    Raises:
        SystemExit: If a marker names a table or value that its file does not have.
    """

    def replacement(match: re.Match[str]) -> str:
        kind, words = match[1], match[2].split()
        path = results / f"{words[0]}.json"
        record = json.loads(path.read_text()) if path.is_file() else None
        if kind == "value":
            body = _MISSING if record is None else _value(record, words)
        else:
            body = f"\n*{_MISSING}*\n" if record is None else _tables(record, words)
        return f"<!-- {kind}: {match[2]} -->{body}<!-- end -->"

    return _BLOCK.sub(replacement, text)


def _value(record: dict[str, Any], words: Sequence[str]) -> str:
    """Format one number of the results.

    Args:
        record: The JSON file.
        words: Words of the marker: name of the file, path of the number with dots, and perhaps a
            format.
    """
    name, path, *rest = words
    value: Any = record["results"]
    try:
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise SystemExit(f"{name}.json has no {path}") from error
    return format(value, rest[0] if rest else "")


def _tables(record: dict[str, Any], words: Sequence[str]) -> str:
    """Return tables of a JSON file as Markdown: those that the marker names, or all."""
    names = words[1:] or list(record["tables"])
    parts = []
    for name in names:
        if name not in record["tables"]:
            raise SystemExit(f"{words[0]}.json has no table {name}")
        parts.append(_markdown(record["tables"][name]))
    return "\n" + "\n".join([*parts, f"{_wrapped(f'<sub>{origin(record)}</sub>')}\n"])


def _markdown(table: dict[str, Any]) -> str:
    rule = ["---", *["---:"] * (len(table["columns"]) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (table["columns"], rule, *table["rows"])]
    note = ["", _wrapped(table["note"])] if table["note"] else []
    return "\n".join([*lines, *note, ""])


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, _COLUMNS, break_long_words=False, break_on_hyphens=False)


def origin(record: Mapping[str, Any]) -> str:
    """Return the line under a table: command, commit, date and machine."""
    machine = record["machine"]
    commit = f"`{record['commit']}`" if record["commit"] else "no commit"
    changed = " with changes" if record["dirty"] else ""
    device = f", {machine['gpu']}" if machine["gpu"] else ""
    # Absolute paths mean nothing on other machines.
    command = re.sub(r"(?<=\s)/\S*/", ".../", record["command"])
    return (
        f"`{command}`, commit {commit}{changed}, {record['date'][:10]}, "
        f"{machine['cpu']}, {machine['threads']} threads, {machine['capability']}{device}, "
        f"torch {machine['packages']['torch']}"
    )


if __name__ == "__main__":
    main()
