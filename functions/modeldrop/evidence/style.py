"""The look of the evidence card's page: light, dark, on paper, and on a phone."""

CSS = """
:root{color-scheme:light dark;--ink:#1b2027;--quiet:#5b6570;--paper:#fff;--card:#f5f7f9;--edge:#d9dfe5;
--blue:#0b62c4;--green:#0f7b3f;--evidence:#7a3fc4;--bad:#b3261e;--good:#0f7b3f;--warn:#8a5a00}
@media (prefers-color-scheme:dark){:root{--ink:#e8edf2;--quiet:#9ba6b1;--paper:#0e1116;--card:#171c22;--edge:#2e363f;
--blue:#62aeff;--green:#41c36b;--evidence:#bf94ff;--bad:#ff8078;--good:#41c36b;--warn:#e6b84a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:56rem;margin:0 auto;padding:1.25rem 1rem 3rem;overflow-wrap:anywhere}
header{border-left:.35rem solid var(--tone);padding-left:.9rem;margin-bottom:1.1rem}
.bad{--tone:var(--bad)}.good{--tone:var(--good)}.warn{--tone:var(--warn)}
p{margin:.3rem 0}.over{font-size:.95rem}
.outcome{background:var(--tone);color:var(--paper);font-weight:700;font-size:.8rem;letter-spacing:.05em;
padding:.15rem .55rem;border-radius:.25rem;margin-right:.3rem}
h1{font-size:1.6rem;line-height:1.25;margin:.35rem 0;font-weight:650}
h2{font-size:1.05rem;margin:1.8rem 0 .5rem}
.quiet,small,td span,.events span{color:var(--quiet);font-size:.82rem;font-weight:400}
.answers{display:grid;grid-template-columns:1fr 1fr;gap:.6rem;margin:0}
.answers div{background:var(--card);border:1px solid var(--edge);border-radius:.4rem;padding:.6rem .8rem}
.answers div:last-child:nth-child(odd){grid-column:1/-1}.answers dd+dd{margin-top:.3rem}
dt{color:var(--quiet);font-size:.82rem}dd{margin:0}
.facts{display:grid;grid-template-columns:8.5rem 1fr;gap:.2rem .8rem;margin:0;font-size:.92rem}
ul{padding-left:1.1rem;margin:.3rem 0}li{margin:.2rem 0}
figure{margin:.3rem 0 0}figcaption{color:var(--quiet);font-size:.82rem;margin-top:.6rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.85rem}
.legend{color:var(--quiet)}
.key::before{content:"";display:inline-block;width:.7em;height:.7em;margin-right:.4em;background:var(--c)}
.key.blue::before{border-radius:50%}.key.moved{--c:var(--edge)}
.blue{--c:var(--blue)}.green{--c:var(--green)}.evidence{--c:var(--evidence)}
.board{position:relative;break-inside:avoid;font-size:.75rem;line-height:1.2;color:var(--quiet)}
.marks{position:absolute;inset:0 .8rem 1.4rem 3.6rem}
.marks i{position:absolute;top:0;bottom:0;border-left:1px dashed var(--quiet);opacity:.85}
.marks b{position:absolute;left:-.6rem;width:1.2rem;height:1.1rem;line-height:1.1rem;text-align:center;
font-style:normal;font-weight:600;color:var(--paper);background:var(--quiet);border-radius:.2rem}
.tags{height:1.5rem}.board:has(.row1) .tags{height:2.6rem}.board:has(.row2) .tags{height:3.8rem}
.row1{top:1.2rem}.row2{top:2.4rem}
.strip,.plot,.clock{position:relative;margin:0 .8rem 0 3.6rem}
.strip{height:1.4rem}
.phase{position:absolute;top:0;height:100%;padding:.15rem .35rem;overflow:hidden;white-space:nowrap;
text-overflow:ellipsis;color:var(--ink);background:var(--edge);border-right:2px solid var(--paper)}
.phase.p1{background:color-mix(in srgb,var(--edge) 55%,var(--paper))}
.panel{position:relative}
h3{margin:.75rem 0 .3rem;font-size:.85rem;color:var(--ink);font-weight:600;padding-left:3.6rem}
h3 small{margin-left:.6rem}
.plot{height:5.6rem}
svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
path{vector-effect:non-scaling-stroke;fill:none}
.line{stroke:var(--c);stroke-width:2;stroke-linejoin:round}.line.dashed{stroke-dasharray:5 4;stroke-width:1.5}
.dots{stroke:var(--c);stroke-width:6;stroke-linecap:round}.dots.green{stroke-linecap:square;stroke-width:5}
.range{fill:var(--c);opacity:.16}.whisker{stroke:var(--c);stroke-width:7;opacity:.25}
.grid{stroke:var(--edge);stroke-width:1}.bar{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:7 3}
.share .bar{stroke:var(--quiet)}.share .barname{color:var(--quiet)}
.shift{fill:var(--quiet);opacity:.13}
.y{position:absolute;right:100%;margin-right:.4rem;transform:translateY(-50%);white-space:nowrap}
.barname{position:absolute;right:0;transform:translateY(-105%);color:var(--bad);font-weight:600}
.clock{height:1.4rem;margin-top:.4rem}
.clock span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.events{padding-left:1.4rem;margin:0 0 .5rem;color:var(--ink);font-size:.88rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.88rem;overflow-wrap:normal}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--edge)}
thead th{font-weight:400;color:var(--quiet);font-size:.82rem}
.bins th,.bins td{text-align:right;padding:.15rem .4rem}
pre{overflow-x:auto;background:var(--card);padding:.6rem;border-radius:.4rem;font-size:.8rem}
details{margin-top:1rem}summary{cursor:pointer;color:var(--quiet)}a{color:var(--blue)}
@media (max-width:34rem){.answers,.facts{grid-template-columns:1fr}.facts dt{margin-top:.35rem}h1{font-size:1.3rem}
h3{padding-left:0}h3 small{display:block;margin:.1rem 0 0}.marks{left:3.1rem;right:.5rem}
.strip,.plot,.clock{margin-left:3.1rem;margin-right:.5rem}}
@media print{:root{color-scheme:light;--ink:#000;--quiet:#444;--paper:#fff;--card:#fff;--edge:#bbb;--blue:#0b62c4;
--green:#0f7b3f;--evidence:#7a3fc4;--bad:#b3261e;--good:#0f7b3f;--warn:#8a5a00}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}body{font-size:10.5pt}
main{max-width:none;padding:0}.plot{height:3.3rem}h3{margin-top:.4rem}
h1{font-size:1.3rem}.answers div{padding:.3rem .6rem}.answers,table,tr,li{break-inside:avoid}
h2,.legend{break-after:avoid}details{display:none}}
"""
