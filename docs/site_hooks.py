"""Hooks of the documentation site: pages from files outside docs/, and links between all of them.

Documents link to each other as GitHub resolves it, by their places in the repository. On the site
some of them are elsewhere, so every relative link is translated; a link to a file that is no page
of the site is an error, as is a page of decisions that nobody can find.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# Files outside docs/, and their pages.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "cuda/README.md": "kernels.md",
    "nvcodec/tokenizer/weights/small/README.md": "tokenizer.md",
}
PAGES |= {
    f"docs/examples/{path.name}": f"examples/{path.stem}.md"
    for path in sorted((ROOT / "docs" / "examples").glob("*.py"))
    if "def main" in path.read_text(encoding="utf-8")
}
_SOURCES = {page: source for source, page in PAGES.items()}
_CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"""(?P<open>\]\(|src=")(?P<target>[^)"\s]+)(?P<close>[)"])""")
# Where numbers come from, for `benchmarks.harness.tables`.
_MARK = re.compile(r"<!-- (?:(?:table|value): [^>]+|end) -->")
_COMMAND = re.compile(r"^ {4}(\w+) {2,}", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List every decision below the page that introduces them."""
    folder = Path(config.docs_dir) / "decisions"
    pages = sorted(f"decisions/{path.name}" for path in folder.glob("*.md"))
    _extend(config.nav, [page for page in pages if page != "decisions/index.md"])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".py"):
            text = _example(source, text)
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "command-line.md", content=_command_line()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Translate links, in everything but code."""
    here = page.file.src_uri
    source = _SOURCES.get(here, f"docs/{here}")

    def translated(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or ":" in target:
            return match[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        found = PAGES.get(place) or place.removeprefix("docs/")
        if found == place and (ROOT / place).exists():
            raise PluginError(f"{source}: {target} is no page of the site; see docs/site_hooks.py")
        path = posixpath.relpath(found, posixpath.dirname(here) or ".")
        return match["open"] + path + ("#" + anchor if anchor else "") + match["close"]

    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(translated, _MARK.sub("", part)) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Refuse a page of the reference that leaves out a public name."""
    for name in re.findall(r"^::: (\S+)$", page.markdown or "", re.MULTILINE):
        public = getattr(import_module(name), "__all__", ())
        missing = [one for one in public if f'id="{name}.{one}"' not in html]
        if missing:
            raise PluginError(
                f"{page.file.src_uri}: no docstring of {', '.join(missing)} was found"
            )
    return html


def _extend(nav: list, pages: list[str]) -> None:
    """Put pages behind the one that introduces them, wherever that is in the navigation."""
    for entry in nav:
        for inner in entry.values() if isinstance(entry, dict) else ():
            if isinstance(inner, list):
                _extend(inner, pages)
    if "decisions/index.md" in nav:
        nav += pages


def _example(source: str, text: str) -> str:
    """A script as a page: what it says about itself, then all of it."""
    title = Path(source).stem.replace("_", " ").capitalize()
    about = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n    python")[0]
    return f"# {title}\n\n{about}\n\n`{source}`\n\n```python\n{text}```\n"


def _command_line() -> str:
    """Return a page of the help of every command, as this release prints it."""
    pages = ["# Command line\n", f"```text\n{_help()}```\n"]
    for command in _COMMAND.findall(_help()):
        pages += [f"## nvcodec {command}\n", f"```text\n{_help(command)}```\n"]
    return "\n".join(pages)


def _help(*command: str) -> str:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "COLUMNS": "92",
        "NO_COLOR": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    asked = [sys.executable, "-m", "nvcodec", *command, "--help"]
    run = subprocess.run(asked, capture_output=True, text=True, env=environment, check=True)
    return run.stdout
