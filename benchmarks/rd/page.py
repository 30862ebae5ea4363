"""The report as one HTML page with its data, style, script and pictures; it fetches nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.harness.tables import origin
from benchmarks.rd.curves import METRIC_NAMES
from benchmarks.rd.figures import styles

_TEMPLATE = Path(__file__).with_name("page.html")
# Fields of a point that the script of the page needs.
_FIELDS = (
    "clip", "series", "bytes", "bpp", "kbps", "frames", "psnr_y", "psnr_u", "psnr_v", "psnr_yuv",
    "ms_ssim", "encode_seconds", "decode_seconds", "parameters", "macs_per_pixel", "epochs", "crf",
)  # fmt: skip


def page(record: Mapping[str, Any], pictures: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML of the page.

    Args:
        record: The JSON file that `record.write` stored.
        pictures: Frames from `viewer_frames.viewer`; empty for a page without the viewer.
    """
    results = record["results"]
    rows = results["points"]
    styles_by_series = styles(list(dict.fromkeys(row["series"] for row in rows)))
    data = {
        "points": [{name: row[name] for name in _FIELDS if name in row} for row in rows],
        "clips": results["clips"],
        "metrics": [
            {"field": field, "name": name, "unit": "" if field == "ms_ssim" else "dB"}
            for field, name in METRIC_NAMES.items()
        ],
        "series": {
            name: {"colour": style.colour, "dashed": style.dashed, "ours": style.ours}
            for name, style in styles_by_series.items()
        },
        "pictures": pictures,
    }
    parts = {
        "title": escape(f"Rate-distortion, {results['suite']} suite"),
        "style": _TEMPLATE.with_suffix(".css").read_text(),
        "script": _TEMPLATE.with_suffix(".js").read_text(),
        # `</script>` within a string would end the element.
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "summary": _table(record["tables"]["summary"]),
        "tables": _by_curve(record["tables"]),
        "cost": _table(record["tables"]["cost"]),
        "conditions": _list(results["conditions"]),
        "missing": _list(results["notes"]),
        "origin": escape(origin(record).replace("`", "")),
    }
    html = _TEMPLATE.read_text()
    for name, text in parts.items():
        html = html.replace(f"<!-- {name} -->", text)
    return html


def _by_curve(tables: Mapping[str, Any]) -> str:
    """Return every clip's BD-rates, a fold per curve and metric; the first by YUV PSNR is open."""
    folds: list[str] = []
    for name, table in tables.items():
        metric = next((field for field in METRIC_NAMES if name.endswith(f"_{field}")), None)
        if metric is None:
            continue
        title = f"{name.removesuffix(f'_{metric}')}, by {METRIC_NAMES[metric]}"
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
    """Return the class of a cell: BD-rates are tinted by their sign."""
    if "%" not in cell:
        return ""
    return " class=fewer" if cell.startswith("-") else " class=more"


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""
