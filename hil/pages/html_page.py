"""A page of ours: one HTML file that opens offline, has no script, and whose policy lets it load nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hil.pages.page_text import page_text

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT_BYTES: Final = 2_000_000
"""A page stays below."""
_STYLE: Final = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem;color:#1b1f24;background:#fff}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:2px solid #d0d7de}
.banner{padding:.7rem 1rem;border-left:.5rem solid;margin:1rem 0;font-weight:600;overflow-wrap:anywhere}
.good{background:#e6f4ea;border-color:#1a7f37}.bad{background:#fdeaea;border-color:#b42318}
.unsure{background:#fff4d6;border-color:#9a6700}details{margin:.6rem 0}nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid #d0d7de}
th{background:#f6f8fa}td{overflow-wrap:anywhere}td.id,td.mark{white-space:nowrap;overflow-wrap:normal}
.mark b{padding:.05rem .45rem;border-radius:.6rem;font-size:.85em}.mark .good,.mark .bad,.mark .unsure{border:0}
.mark .good{color:#116329}.mark .bad{color:#8f1d14}.mark .unsure{color:#6f4a00}
pre{background:#f6f8fa;padding:.6rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85em}
section.test{border:1px solid #d0d7de;border-left:.4rem solid #b42318;padding:.2rem 1rem;margin:.8rem 0}
section.test h3{font-size:1rem;overflow-wrap:anywhere}:target{outline:3px solid #0969da}
.small{color:#57606a;font-size:.9em}.plain{color:#57606a;font-weight:400}
section.measured{border:1px solid #d0d7de;padding:.2rem 1rem;margin:.8rem 0}
section.measured h3{font-size:1rem;overflow-wrap:anywhere}
figure.curve{margin:1rem 0;max-width:44rem;overflow-x:auto}
figure.curve>svg{display:block;width:100%;min-width:30rem;height:auto}
.curve text{font:12px system-ui,sans-serif;fill:#1b1f24}.curve .grid{stroke:#d0d7de;fill:none}
.curve .axis{stroke:#1b1f24;fill:none}figcaption{color:#57606a;font-size:.9em;overflow-wrap:anywhere}
.keys{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.3rem 0;padding:0;font-size:.9em}
@media(max-width:40rem){.matrix thead,.measured thead{display:none}
.matrix td,.measured td{display:block;border:0;padding:.1rem .4rem}
.matrix tr,.measured tr{display:block;border-bottom:1px solid #d0d7de;padding:.4rem 0}
.matrix td:empty,.measured td:empty{display:none}
.measured td::before{content:attr(data-label) ": ";color:#57606a;font-weight:400}}
@media print{@page{margin:14mm}nav{display:none}figure.curve>svg{min-width:0}
section.test,figure,h2,h3{break-inside:avoid}h2,h3,.measured p{break-after:avoid}
body{max-width:none;padding:0;font-size:9pt;line-height:1.3}
th,td{padding:.15rem .35rem}td{orphans:3;widows:3}a{color:inherit;text-decoration:none}
.requirements td:nth-child(3){width:29%}.requirements td:nth-child(4){overflow-wrap:normal}
.requirements td:nth-child(5){width:45%}
.banner,th,.mark b,pre{print-color-adjust:exact}}
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html_page(title: str, parts: Iterable[str], style: str = "") -> str:
    """The whole file; `parts` are HTML, empty ones stay out, `style` comes after that of every page."""
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{page_text(title)}</title><style>{_STYLE}{style}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def anchor_of(name: str, kind: str = "r-") -> str:
    """An id for a requirement, or for a source (`s-`), of letters that need no escaping."""
    return kind + re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}_", name)


def link(anchor: str | None, words: str) -> str:
    """Words that may lead somewhere on the page, and that a narrow window may break behind an underscore."""
    shown = page_text(words).replace("_", "_<wbr>")
    return shown if anchor is None else f'<a href="#{anchor}">{shown}</a>'


def mark(words: str, kind: str) -> str:
    """A cell of a table that stands out: `kind` is good, bad or unsure."""
    return f'<td class="mark"><b class="{kind}">{page_text(words)}</b></td>'


def table(head: tuple[str, ...], rows: Iterable[str], kind: str = "") -> str:
    """A table of rows that are HTML, in a frame that scrolls where it is too wide; `kind` is its class."""
    cells = "".join(f"<th>{each}</th>" for each in head)
    body = "\n".join(rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def named_cells(columns: Iterable[str], cells: Iterable[str]) -> str:
    """Cells of a row, which are HTML, each with the name of its column: a narrow window shows it there."""
    return "".join(
        f'<td data-label="{page_text(column)}">{cell}</td>'
        for column, cell in zip(columns, cells, strict=True)
    )


def places(anchors: dict[str, str]) -> str:
    """Links to the parts of a page: words by anchor."""
    return (
        "<nav>" + "".join(f'<a href="#{anchor}">{words}</a>' for anchor, words in anchors.items()) + "</nav>"
    )
