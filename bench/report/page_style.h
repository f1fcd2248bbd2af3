// The page's style sheet.
#pragma once

namespace slipring::bench {

inline constexpr const char* kPageStyle = R"css(
:root{color-scheme:light dark;--ink:#1b2330;--soft:#5d6878;--line:#e3e7ed;--paper:#fbfbf9;
--card:#fff;--ours:#0f766e;--peer:#9aa7b8;--kernel:#cbb994;--raw:#dde1e8;--won:#0f766e;
--lost:#b4530a;--bad:#b42318}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#98a2b3;--line:#2b3340;--paper:#11161d;
--card:#171d26;--ours:#2dd4bf;--peer:#5f6f86;--kernel:#7f7150;--raw:#303947;--won:#2dd4bf;
--lost:#f5a25d;--bad:#f97066}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:960px;margin:0 auto;padding:40px 20px 80px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px;letter-spacing:-.02em}
h2{font-size:20px;margin:52px 0 4px;letter-spacing:-.01em}
h3{font-size:15px;margin:26px 0 8px}
p{max-width:68ch}.lead{color:var(--soft);margin:0 0 20px}
.facts{display:flex;flex-wrap:wrap;gap:8px 28px;margin:20px 0 0;padding:0;list-style:none}
.facts b{display:block;font-size:22px;font-weight:600;letter-spacing:-.01em}
.facts span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-size:12px;font-weight:500;color:var(--soft);text-align:left;padding:6px 10px 6px 0}
td{border-top:1px solid var(--line);padding:8px 10px 8px 0;vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
td small{display:block;color:var(--soft);font-size:12.5px}
.mark{display:inline-block;min-width:4.2em;font-weight:600}
.won{color:var(--won)}.lost{color:var(--lost)}.unknown{color:var(--soft);font-weight:400}
.bars{display:grid;gap:5px;font-size:13.5px}
.row{display:grid;grid-template-columns:minmax(140px,230px) 1fr 92px;gap:1px 12px;
align-items:center;grid-template-areas:"name bar value" ". note note"}
.bars .name{grid-area:name}.bars .value{grid-area:value}.bars svg{grid-area:bar}
.bars .name{overflow-wrap:anywhere}.bars .us{font-weight:600}
.bars .value{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bars .value small{color:var(--soft);font-weight:400}
.bars .note{grid-area:note;color:var(--soft);font-size:12px}
.bars .note.bad{color:var(--bad)}
.bars svg{width:100%;height:14px;display:block;overflow:visible}
rect.ours{fill:var(--ours)}rect.peer{fill:var(--peer)}rect.kernel{fill:var(--kernel)}
rect.raw{fill:var(--raw)}line.range{stroke:var(--ink);stroke-width:1.2;opacity:.55;
vector-effect:non-scaling-stroke}
.plot{width:100%;height:auto;display:block;margin-top:6px}
.plot text{font-size:11px;fill:var(--soft);text-anchor:middle}
.plot text.last{text-anchor:end}.plot text.first{text-anchor:start}
.plot .grid{stroke:var(--line)}
.curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke:var(--peer)}
.curve.ours{stroke-width:3}
.c0{--c:#0f766e}.c1{--c:#3b6fb5}.c2{--c:#b4530a}.c3{--c:#7a4fb3}.c4{--c:#a8841f}.c5{--c:#c0427a}
.c6{--c:#6b7685}.c7{--c:#4d8a2f}
@media(prefers-color-scheme:dark){.c0{--c:#2dd4bf}.c1{--c:#7aa7e8}.c2{--c:#f5a25d}.c3{--c:#b497e8}
.c4{--c:#dcb956}.c5{--c:#f08ab5}.c6{--c:#a3adbb}.c7{--c:#93cf6f}}
.curve{stroke:var(--c)}.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;padding:0;
margin:6px 0 0;font-size:13px}.legend li::before{content:"";display:inline-block;width:14px;
height:3px;background:var(--c);margin-right:6px;vertical-align:middle}.legend .ours{font-weight:600}
.scroll{overflow-x:auto}
details{margin-top:16px}summary{cursor:pointer;color:var(--soft)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:11px;line-height:1.4;max-height:420px;
overflow:auto;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:12px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:10px 0}
dt{color:var(--soft)}dd{margin:0}
@media(max-width:640px){main{padding:26px 16px 60px}h1{font-size:25px}
.row{grid-template-columns:1fr max-content;
grid-template-areas:"name value" "bar bar" "note note"}.bars{gap:9px}
.verdicts thead{display:none}.verdicts tr{display:block;border-top:1px solid var(--line);
padding:10px 0}.verdicts td{display:block;border:0;padding:1px 0}.verdicts td.n{text-align:left}
.verdicts td:first-child{font-weight:600}.verdicts td[data-l]:before{content:attr(data-l) " ";
color:var(--soft);font-size:12.5px}dl{grid-template-columns:1fr}dd{margin-bottom:6px}
.plot text{font-size:17px}}
)css";

}  // namespace slipring::bench
