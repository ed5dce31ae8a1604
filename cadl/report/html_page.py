"""A page of pictures and tables that any browser opens, without scripts and without a network."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cadl import files
from cadl.images import gallery

from PIL import Image

STYLE = """
body { background: #181818; color: #ddd; font: 16px/1.5 system-ui, sans-serif; margin: 0 auto;
       max-width: 1340px; padding: 1.5em; }
h1, h2 { color: #fff; font-weight: 500; line-height: 1.2; }
h2 { border-top: 1px solid #444; margin-top: 2em; padding-top: 1em; }
p { max-width: 46em; }
figure { margin: 1.5em 0; }
figcaption { color: #aaa; max-width: 46em; }
img { height: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #333; padding: 0.25em 0.9em 0.25em 0; text-align: right; }
th { color: #aaa; font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
"""


class Page:
    """A page that grows from top to bottom; its pictures lie beside it."""

    def __init__(self, folder: Path, title: str):
        """Begins `index.html` in a folder."""
        self._folder = folder
        self._title = html.escape(title)
        self._parts = [f"<h1>{self._title}</h1>"]

    def heading(self, text: str) -> None:
        """Begins a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Adds a paragraph."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Adds a table; numbers that are not whole get two decimals."""
        lines = ["".join(f"<th>{html.escape(name)}</th>" for name in header)]
        for row in rows:
            cells = (f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row)
            lines.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
        body = "\n".join(f"<tr>{line}</tr>" for line in lines)
        self._parts.append(f"<table>\n{body}\n</table>")

    def picture(self, name: str, picture: Image.Image, caption: str) -> None:
        """Saves a picture beside the page and shows it."""
        gallery.save_picture(self._folder / name, picture)
        width, height = picture.size
        text = html.escape(caption)
        self._parts.append(
            f'<figure><img src="{html.escape(name)}" width="{width}" height="{height}" '
            f'alt="{text}"><figcaption>{text}</figcaption></figure>'
        )

    def save(self) -> Path:
        """Writes the page, whole or not at all, and returns its path."""
        path = self._folder / "index.html"
        page = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{self._title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            + "\n".join(self._parts)
            + "\n</body>\n</html>\n"
        )
        with files.whole_file(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return path
