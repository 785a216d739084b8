"""The look of the evidence card's page: light, dark, on paper, and on a phone."""

CSS = """
:root{color-scheme:light dark;--ink:#1c2128;--quiet:#57606a;--paper:#fff;--card:#f6f8fa;--edge:#d0d7de;
--blue:#0969da;--green:#1a7f37;--evidence:#8250df;--bad:#b3261e;--good:#1a7f37;--warn:#8a5a00}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#9aa4af;--paper:#0d1117;--card:#161b22;--edge:#30363d;
--blue:#58a6ff;--green:#3fb950;--evidence:#bc8cff;--bad:#ff7b72;--good:#3fb950;--warn:#e3b341}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:1rem}
h1{font-size:1.4rem;line-height:1.3;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:1.5rem 0 .4rem}
.outcome{display:inline-block;padding:.1rem .6rem;border-radius:1rem;border:2px solid;font-weight:600}
.bad{color:var(--bad)}.good{color:var(--good)}.warn{color:var(--warn)}
dl{display:grid;grid-template-columns:7rem 1fr;gap:.25rem .75rem;margin:.5rem 0}
dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}
figure{margin:1rem 0;padding:.5rem;background:var(--card);border:1px solid var(--edge);border-radius:.5rem}
figcaption{font-weight:600;padding:.2rem .3rem}
svg{display:block;width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:var(--quiet)}svg .strong{fill:var(--ink);font-weight:600}
.line{fill:none;stroke-width:2}.line.blue{stroke:var(--blue)}.line.green{stroke:var(--green);stroke-dasharray:6 3}
.line.evidence{stroke:var(--evidence)}
.dot.blue{fill:var(--blue)}.dot.green{fill:var(--green)}.dot.evidence{fill:var(--evidence)}
.grid{stroke:var(--edge)}.mark{stroke:var(--quiet);stroke-dasharray:2 3}.bar{stroke:var(--bad);stroke-width:1.5}
.band{fill:var(--quiet);opacity:.15}
table{border-collapse:collapse;width:100%;font-size:.85rem}
th,td{text-align:right;padding:.15rem .4rem;border-bottom:1px solid var(--edge)}
th:first-child,td:first-child{text-align:left}
.wide{overflow-x:auto}
pre{overflow-x:auto;background:var(--card);padding:.5rem;border-radius:.5rem;font-size:.8rem}
summary{cursor:pointer;color:var(--quiet)}
@media (max-width:30rem){dl{grid-template-columns:1fr}dt{margin-top:.3rem}}
@media print{:root{color-scheme:light}figure{break-inside:avoid}details{display:none}main{max-width:none}}
"""
