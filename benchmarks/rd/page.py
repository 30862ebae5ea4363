"""The report as one HTML page: data, style, script and pictures inside, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.harness.tables import origin
from benchmarks.rd.curves import SHOWN
from benchmarks.rd.figures import styles

_PARTS = Path(__file__).with_name("page.html")
# What the script needs of a point.
_FIELDS = (
    "clip", "series", "bytes", "bpp", "kbps", "frames", "psnr_y", "psnr_u", "psnr_v", "psnr_yuv",
    "ms_ssim", "encode_seconds", "decode_seconds", "parameters", "macs_per_pixel", "epochs", "crf",
)  # fmt: skip


def page(record: Mapping[str, Any], pictures: Sequence[Mapping[str, Any]]) -> str:
    """The page.

    Args:
        record: What `record.write` stored, or its like read back.
        pictures: From `rd_frames.viewer`; none for a page without the viewer.
    """
    results = record["results"]
    rows = results["points"]
    looks = styles(list(dict.fromkeys(row["series"] for row in rows)))
    data = {
        "points": [{name: row[name] for name in _FIELDS if name in row} for row in rows],
        "clips": results["clips"],
        "metrics": [
            {"field": field, "name": name, "unit": "" if field == "ms_ssim" else "dB"}
            for field, name in SHOWN.items()
        ],
        "series": {
            name: {"colour": look.colour, "dashed": look.dashed, "ours": look.ours}
            for name, look in looks.items()
        },
        "pictures": pictures,
    }
    parts = {
        "title": escape(f"Rate-distortion, {results['suite']} suite"),
        "style": _PARTS.with_suffix(".css").read_text(),
        "script": _PARTS.with_suffix(".js").read_text(),
        # `</script>` inside a string would end the element.
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "summary": _table(record["tables"]["summary"]),
        "tables": _by_curve(record["tables"]),
        "cost": _table(record["tables"]["cost"]),
        "conditions": _list(results["conditions"]),
        "missing": _list(results["notes"]),
        "origin": escape(origin(record).replace("`", "")),
    }
    made = _PARTS.read_text()
    for name, text in parts.items():
        made = made.replace(f"<!-- {name} -->", text)
    return made


def _by_curve(tables: Mapping[str, Any]) -> str:
    """Every clip's BD-rates, a fold per curve and metric; the first is open."""
    folds: list[str] = []
    for name, table in tables.items():
        metric = next((field for field in SHOWN if name.endswith(f"_{field}")), None)
        if metric is None:
            continue
        title = f"{name.removesuffix(f'_{metric}')}, by {SHOWN[metric]}"
        opened = (
            " open" if metric == "psnr_yuv" and not any(" open" in fold for fold in folds) else ""
        )
        folds.append(
            f"<details{opened}><summary>{escape(title)}</summary>{_table(table)}</details>"
        )
    return "\n".join(folds)


def _table(table: Mapping[str, Any]) -> str:
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in table["columns"])
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in table["rows"])
    note = f"<p class=note>{escape(table['note'])}</p>" if table["note"] else ""
    return (
        f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{note}"
    )


def _cells(row: Sequence[str]) -> str:
    first, *rest = row
    cells = "".join(f"<td{_tone(cell)}>{escape(cell)}</td>" for cell in rest)
    return f"<th scope=row>{escape(first)}</th>{cells}"


def _tone(cell: str) -> str:
    """BD-rates are tinted by their sign."""
    if "%" not in cell:
        return ""
    return " class=fewer" if cell.startswith("-") else " class=more"


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""
