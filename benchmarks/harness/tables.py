"""Puts measurements into documents, so that every number there comes from a JSON file.

    <!-- table: fit_speed -->               all tables of benchmarks/results/fit_speed.json,
    <!-- end -->                            and where they were taken
    <!-- table: random_access files -->     one of them
    <!-- end -->
    <!-- value: fit_speed speedup.median .2f -->3.14<!-- end -->

What stands between the comments is replaced; everything else stays as it is.
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
_COLUMNS = 118  # of a line of Markdown; rows of tables cannot be wrapped
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
    parser.add_argument("files", type=Path, nargs="*", default=DOCUMENTS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of JSON files")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file is out of date"
    )
    options = parser.parse_args(argv)
    stale = []
    for path in options.files:
        before = path.read_text()
        after = filled(before, options.results)
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


def filled(text: str, results: Path) -> str:
    """A document with every marked place filled.

    Args:
        text: Markdown.
        results: Folder of JSON files.

    Raises:
        SystemExit: If a marker names a table or value that its file does not have.
    """

    def fill(match: re.Match[str]) -> str:
        kind, wanted = match[1], match[2].split()
        path = results / f"{wanted[0]}.json"
        record = json.loads(path.read_text()) if path.is_file() else None
        if kind == "value":
            body = _MISSING if record is None else _value(record, wanted)
        else:
            body = f"\n*{_MISSING}*\n" if record is None else _tables(record, wanted)
        return f"<!-- {kind}: {match[2]} -->{body}<!-- end -->"

    return _BLOCK.sub(fill, text)


def _value(record: dict[str, Any], wanted: Sequence[str]) -> str:
    """One number of the results, by its path, formatted."""
    name, path, *rest = wanted
    found: Any = record["results"]
    try:
        for key in path.split("."):
            found = found[int(key)] if isinstance(found, list) else found[key]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise SystemExit(f"{name}.json has no {path}") from error
    return format(found, rest[0] if rest else "")


def _tables(record: dict[str, Any], wanted: Sequence[str]) -> str:
    names = wanted[1:] or list(record["tables"])
    parts = []
    for name in names:
        if name not in record["tables"]:
            raise SystemExit(f"{wanted[0]}.json has no table {name}")
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
    """Commit, command and machine: without them a number says nothing."""
    where = record["machine"]
    commit = f"`{record['commit']}`" if record["commit"] else "no commit"
    changed = " with changes" if record["dirty"] else ""
    device = f", {where['gpu']}" if where["gpu"] else ""
    # Where files lay on the machine tells nobody anything.
    command = re.sub(r"(?<=\s)/\S*/", ".../", record["command"])
    return (
        f"`{command}`, commit {commit}{changed}, {record['date'][:10]}, "
        f"{where['cpu']}, {where['threads']} threads, {where['capability']}{device}, "
        f"torch {where['packages']['torch']}"
    )


if __name__ == "__main__":
    main()
