"""The page that a report is: its style, light and dark, and the few lines that sort tables and show values."""

from __future__ import annotations

from ..markup import escaped

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--soft:#555;--paper:#fff;--card:#f6f7f9;--edge:#d4d7dc;--link:#00558c;
--c0:#0072b2;--c1:#b84a00;--c2:#007a5a;--c3:#9b3f78;--ridge:#0072b2;--bad:#a12b00;--good:#006b4f}
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--soft:#b4b8be;--paper:#14161a;--card:#1e2127;--edge:#3a3f48;
--link:#8ecbff;--c0:#56b4e9;--c1:#ff9d5c;--c2:#3fcf9f;--c3:#e59cc6;--ridge:#56b4e9;--bad:#ff9a7a;--good:#5fdcae}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin:2rem 0 .5rem;overflow-wrap:anywhere}
section{border-top:1px solid var(--edge)}
.verdict{font-weight:700}.bad{color:var(--bad)}.good{color:var(--good)}
dl{background:var(--card);padding:.8rem 1rem;border-radius:.5rem;margin:.5rem 0}
dt{font-weight:700}dd{margin:0 0 .5rem;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem}
figure{margin:0;background:var(--card);border-radius:.5rem;padding:.5rem}
figcaption{font-weight:600;font-size:.9rem}svg{width:100%;height:auto;display:block}
svg text{font-size:13px;fill:var(--soft)}svg .x{text-anchor:middle}svg .y{text-anchor:end}
.line{fill:none;stroke-width:2}.grid{stroke:var(--edge)}
path.c0{stroke:var(--c0)}path.c1{stroke:var(--c1);stroke-dasharray:8 3}path.c2{stroke:var(--c2);stroke-dasharray:2 3}
path.c3{stroke:var(--c3);stroke-dasharray:8 3 2 3}
circle.c0{fill:var(--c0)}circle.c1{fill:var(--c1)}circle.c2{fill:var(--c2)}circle.c3{fill:var(--c3)}
.ridge{fill:var(--ridge);fill-opacity:.75;stroke:var(--card)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;margin:0;padding:0;font-size:.85rem}
.legend .c0{color:var(--c0)}.legend .c1{color:var(--c1)}.legend .c2{color:var(--c2)}.legend .c3{color:var(--c3)}
.key{font-size:.85rem;margin:.2rem 0}
.scroll{overflow-x:auto;margin:1rem 0;max-height:32rem}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;white-space:nowrap}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--edge);text-align:right}
thead th{position:sticky;top:0;background:var(--card)}
th button{all:unset;cursor:pointer;font-weight:700;color:var(--link);min-height:24px}
th button:focus-visible{outline:2px solid var(--link)}
th[aria-sort=ascending] button::after{content:" \\2191"}th[aria-sort=descending] button::after{content:" \\2193"}
#tip{position:fixed;pointer-events:none;background:var(--ink);color:var(--paper);padding:.2rem .5rem;
border-radius:.3rem;font-size:.85rem;max-width:20rem;visibility:hidden;z-index:9}
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table.sortable"))
  table.querySelectorAll("thead th").forEach((head, k) => {
    const button = document.createElement("button");
    button.type = "button"; button.textContent = head.textContent;
    head.replaceChildren(button);
    button.onclick = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => { const t = row.cells[k].textContent, n = parseFloat(t); return isNaN(n) ? t : n; };
      const body = table.tBodies[0], rows = [...body.rows].map(row => [key(row), row]);
      rows.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1));
      if (!up) rows.reverse();
      body.append(...rows.map(([, row]) => row));
    };
  });
const tip = document.getElementById("tip");
addEventListener("pointerover", event => {
  const words = event.target.closest?.("[data-tip]")?.dataset.tip;
  tip.style.visibility = words ? "visible" : "hidden";
  if (!words) return;
  tip.textContent = words;
  tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4)) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4)) + "px";
});
"""


def page(title: str, summary: str, sections: list[str]) -> str:
    """Return the page; summary and sections are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escaped(title)}</title><style>{_STYLE}</style></head><body>"
        f"<main><h1>{escaped(title)}</h1>{summary}{''.join(sections)}</main>"
        f'<div id="tip" aria-hidden="true"></div><script>{_SCRIPT}</script></body></html>\n'
    )
