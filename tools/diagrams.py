"""Draw the diagrams of the documentation: `make diagrams`, after a change in docs/diagrams.

`*.dot` is drawn by Graphviz (Debian: graphviz), `*.seq` here. Each SVG records the digest of its
source, which a test compares, so that nothing else needs Graphviz.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from html import escape
from pathlib import Path

DIAGRAMS = Path(__file__).parent.parent / "docs/diagrams"

STYLE = """<style>
text { fill: #1f2328; font-family: Helvetica, Arial, sans-serif; }
.page { fill: #ffffff; stroke: none; }
.edge path, .cluster path, .node path, .node polygon, .line { stroke: #57606a; }
.edge polygon, .head { fill: #57606a; stroke: #57606a; }
.node ellipse { fill: #57606a; stroke: #57606a; }
.cluster path, .band { fill: #f0f3f6; }
.node path, .node polygon, .box { fill: #ffffff; stroke: #57606a; }
.note { fill: #fff3c4; stroke: #9a6700; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.page { fill: #0d1117; }
.edge path, .cluster path, .node path, .node polygon, .line { stroke: #8b949e; }
.edge polygon, .head { fill: #8b949e; stroke: #8b949e; }
.node ellipse { fill: #8b949e; stroke: #8b949e; }
.cluster path, .band { fill: #161b22; }
.node path, .node polygon, .box { fill: #0d1117; stroke: #8b949e; }
.note { fill: #3b2f0b; stroke: #d29922; }
}
.edge path { fill: none; }
</style>"""

COLUMN, ROW, TOP = 250, 30, 56
"""Pixels between participants, between messages, and above the first message."""


def digest(source: Path) -> str:
    """Return the digest that the picture of a source records."""
    return hashlib.sha256(source.read_bytes()).hexdigest()


def sources() -> list[Path]:
    """Return the sources of all diagrams."""
    return sorted([*DIAGRAMS.glob("*.dot"), *DIAGRAMS.glob("*.seq")])


def draw_graph(source: Path) -> str:
    """Return the SVG of a graph, as Graphviz lays it out."""
    program = shutil.which("dot")
    if not program:
        sys.exit("diagrams: dot is not installed (Debian: graphviz)")
    command = [program, "-Tsvg", "-Gbgcolor=transparent", str(source)]
    svg = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    svg = re.sub(r"<!--.*?-->\n?", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    page = '<rect class="page" width="100%" height="100%"/>'
    return re.sub(r"(<svg.*?>)", rf"\1\n{STYLE}\n{page}", svg, count=1, flags=re.DOTALL)


def draw_sequence(source: Path) -> str:
    """Return the SVG of a sequence: `a -> b: text`, `note a: text`, `section: text`."""
    lines = [line for line in source.read_text().splitlines() if line and line[0] != "#"]
    names = lines[0].partition(": ")[2].split(", ")
    middle = {name: 75 + COLUMN // 2 + COLUMN * index for index, name in enumerate(names)}
    width = 75 + COLUMN * len(names)
    bands, shapes, y = [], [], TOP
    band_top, band_name = 0, ""
    for line in lines[1:]:
        if section := re.fullmatch(r"section: (.*)", line):
            if band_name:
                bands.append((band_name, band_top, y))
                y += 10
            band_name, band_top = section[1], y
        elif note := re.fullmatch(r"note (\w+): (.*)", line):
            shapes.append(_note(middle[note[1]], y, note[2], width - 16))
            y += ROW + 4
        elif message := re.fullmatch(r"(\w+) (--?>) (\w+): (.*)", line):
            dashed = message[2] == "-->"
            shapes.append(_message(middle[message[1]], middle[message[3]], y, message[4], dashed))
            y += ROW
        else:
            sys.exit(f"diagrams: {source.name} has a line that is none: {line}")
    bands.append((band_name, band_top, y))
    height = y + 12
    under = [
        f'<rect class="band" x="8" y="{top}" width="{width - 16}" height="{end - top}" rx="6"/>'
        f'<text x="18" y="{top + 20}" font-weight="bold">{escape(name)}</text>'
        for name, top, end in bands
    ]
    heads = [
        f'<line class="line" x1="{x}" y1="40" x2="{x}" y2="{height - 8}" stroke-dasharray="2 4"/>'
        f'<rect class="box" x="{x - 60}" y="10" width="120" height="30" rx="6"/>'
        f'<text x="{x}" y="30" text-anchor="middle">{escape(name)}</text>'
        for name, x in middle.items()
    ]
    body = "\n".join([*under, *heads, *shapes])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-size="13">\n{STYLE}\n'
        f'<rect class="page" width="100%" height="100%"/>\n{body}\n</svg>\n'
    )


def _message(start: int, end: int, y: int, text: str, dashed: bool) -> str:
    bottom, point = y + ROW - 7, 8 if end > start else -8
    style = ' stroke-dasharray="6 4"' if dashed else ""
    left = min(start, end) + 12
    return (
        f'<line class="line" x1="{start}" y1="{bottom}" x2="{end}" y2="{bottom}"{style}/>'
        f'<path class="head" d="M{end} {bottom}l{-point} -4v8z"/>'
        f'<text x="{left}" y="{bottom - 6}">{escape(text)}</text>'
    )


def _note(x: int, y: int, text: str, right: int) -> str:
    half = 4 * len(text)
    x = min(x, right - half)
    return (
        f'<rect class="note" x="{x - half}" y="{y + 4}" width="{2 * half}" height="24" rx="4"/>'
        f'<text x="{x}" y="{y + 20}" text-anchor="middle">{escape(text)}</text>'
    )


def main() -> None:
    """Draw all diagrams."""
    for source in sources():
        svg = draw_graph(source) if source.suffix == ".dot" else draw_sequence(source)
        picture = source.with_suffix(".svg")
        picture.write_text(f"<!-- {source.name} {digest(source)} -->\n{svg}")
        print(f"docs/diagrams/{picture.name}")


if __name__ == "__main__":
    main()
