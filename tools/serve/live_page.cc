#include "tools/serve/live_page.h"

namespace slipring::tools {

// Text of others goes in as text (textContent), never as markup.
const std::string_view kLivePage = R"page(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>slipring</title>
<style>
:root { --ink: #1b1f24; --faint: #667079; --line: #d8dde2; --page: #f6f7f9; --card: #fff;
  --good: #1a7f4b; --warn: #b26a00; --bad: #c0272d; --bar: #3b6fb6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --faint: #98a2ab; --line: #333a41; --page: #14171a; --card: #1c2024;
    --good: #5bc48a; --warn: #e2a33c; --bad: #f0716f; --bar: #6a9de0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
h1 { font-size: 1.25rem; margin: 0; }
h2 { font-size: .85rem; margin: 1.5rem 0 .5rem; color: var(--faint); font-weight: 600; }
#state { color: var(--faint); margin-left: auto; }
#state.bad { color: var(--bad); }
#links, #stages { display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(25rem, 100%), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem; min-width: 0; }
.top { display: flex; gap: .5rem; align-items: baseline; }
.name { font-weight: 600; overflow-wrap: anywhere; }
.kind { color: var(--faint); font-size: .85rem; margin-left: auto; white-space: nowrap; }
.bar { height: .5rem; background: var(--line); border-radius: .25rem; overflow: hidden;
  margin: .5rem 0 .25rem; }
.bar i { display: block; height: 100%; background: var(--bar); }
.bar.high i { background: var(--warn); }
.fill { display: flex; justify-content: space-between; font-size: .85rem; color: var(--faint); }
svg { width: 100%; height: 2rem; display: block; margin: .25rem 0; }
svg path { fill: none; stroke: var(--bar); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
td, th { padding: .15rem .4rem .15rem 0; text-align: right; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
th { color: var(--faint); font-weight: 400; }
.scroll { overflow-x: auto; }
@media (max-width: 30rem) { .ends :is(td, th):last-child { display: none; } }
.held { color: var(--good); } .gone { color: var(--warn); }
.never, .closed { color: var(--faint); }
.note { font-size: .85rem; margin-top: .25rem; color: var(--warn); overflow-wrap: anywhere; }
.note.bad { color: var(--bad); }
.empty { color: var(--faint); }
form { margin: 1rem 0; display: none; gap: .5rem; flex-wrap: wrap; }
form.shown { display: flex; }
input, button { font: inherit; padding: .35rem .6rem; border: 1px solid var(--line);
  border-radius: .35rem; background: var(--card); color: var(--ink); }
input { flex: 1 1 14rem; }
</style>
<header><h1>slipring</h1><span id="sum" class="empty"></span><span id="state">…</span></header>
<form id="ask"><input id="token" type="password" autocomplete="off"
  aria-label="Token" placeholder="This server asks for its token"><button>Use it</button></form>
<h2>Links</h2><div id="links"></div>
<h2>Stages</h2><div id="stages"></div>
<h2>Processes</h2><div class="card scroll"><table id="processes"></table></div>
<script>
"use strict";
const $ = id => document.getElementById(id);
const history_of = new Map();
let token = sessionStorage.getItem("token") || "";
function node(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}
function scaled(value, base, units) {
  let unit = 0;
  while (value >= base && unit < units.length - 1) { value /= base; ++unit; }
  return (unit && value < 100 ? value.toFixed(1) : Math.round(value)) + " " + units[unit];
}
const count = value => scaled(value, 1000, ["", "k", "M", "G", "T"]).trim();
const bytes = value => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const row = (cells, tag) => {
  const made = node("tr");
  for (const cell of cells) made.append(cell instanceof Node ? cell : node(tag || "td", "", cell));
  return made;
};
function plot(name, share) {
  const seen = history_of.get(name) || [];
  seen.push(share);
  if (seen.length > 60) seen.shift();
  history_of.set(name, seen);
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 59 20");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", "fill over the last minute");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", seen.map((value, at) => (at ? "L" : "M") +
    (at + 60 - seen.length) + " " + (19 - 18 * value).toFixed(1)).join(""));
  picture.append(path);
  return picture;
}
function end_row(role, end) {
  const holder = end.pid && end.state === "held" ? " " + end.pid : "";
  const state = node("td", end.state, end.state + holder);
  const rate = value => value === undefined ? "–" : count(value);
  const data = end.payload_bytes_per_s === undefined ? "–" : bytes(end.payload_bytes_per_s) + "/s";
  return row([node("td", "", role), state, count(end.messages), rate(end.messages_per_s), data,
    count(end.blocked), count(end.sleeps)]);
}
function link_card(link) {
  const card = node("div", "card");
  const top = node("div", "top");
  top.append(node("span", "name", link.name), node("span", "kind", link.kind +
    (link.guarded ? ", " + link.writer.protection_level : "")));
  const share = link.capacity ? link.fill / link.capacity : 0;
  const bar = node("div", share > .8 ? "bar high" : "bar");
  const part = node("i");
  part.style.width = (100 * share).toFixed(1) + "%";
  bar.append(part);
  const fill = node("div", "fill");
  const amount = link.fill_unit === "bytes" ? bytes : value => count(value) + " " + link.fill_unit;
  fill.append(node("span", "", Math.round(100 * share) + " %"),
    node("span", "", amount(link.fill) + " of " + amount(link.capacity)));
  const table = node("table");
  table.append(row(["", "", "msgs", "msg/s", "data/s", "blocked", "sleeps"], "th"),
    end_row("writer", link.writer), end_row("reader", link.reader));
  const scroll = node("div", "scroll ends");
  scroll.append(table);
  card.append(top, bar, fill, plot(link.name, share), scroll);
  const notes = [];
  if (link.pool) notes.push(link.pool.lent + " of " + link.pool.buffers + " buffers lent");
  if (link.writer.aborts) notes.push(link.writer.aborts + " aborts");
  if (link.reader.redelivered) notes.push(link.reader.redelivered + " redelivered");
  if (notes.length) card.append(node("div", "note", notes.join(", ")));
  for (const role of ["writer", "reader"]) {
    const end = link[role];
    if (end.corrupt) card.append(node("div", "note bad", "the " + (role === "writer" ? "reader" :
      "writer") + " wrote impossible values (" + end.corrupt + "), process " + end.offender_pid));
  }
  return card;
}
function stage_card(board) {
  const card = node("div", "card");
  const top = node("div", "top");
  top.append(node("span", "name", board.name.replace(/\.board$/, "")),
    node("span", "kind " + board.state, board.state + (board.pid ? " " + board.pid : "")));
  const table = node("table");
  for (const value of board.values) {
    if (value.name.startsWith(".")) continue;
    table.append(row([value.name, count(value.value),
      value.per_s ? count(value.per_s) + "/s" : ""]));
  }
  card.append(top, table);
  return card;
}
function show(id, cards, nothing) {
  $(id).replaceChildren(...(cards.length ? cards : [node("div", "empty", nothing)]));
}
function draw(sample) {
  show("links", sample.links.map(link_card), "No links: slipring create makes one.");
  show("stages", sample.boards.map(stage_card), "No stages: slipring run starts them.");
  const processes = [row(["process", "pid", "cpu", "resident", "threads"], "th")];
  for (const one of sample.processes) {
    processes.push(row([one.name, one.pid, one.cpu_percent === undefined ? "–" :
      one.cpu_percent.toFixed(1) + " %", bytes(one.resident_bytes), one.threads]));
  }
  $("processes").replaceChildren(...processes);
  $("sum").textContent = sample.links.length + " links, " + sample.processes.length + " processes";
  say(new Date(sample.time_ns / 1e6).toLocaleTimeString(), false);
}
function say(text, is_bad) {
  $("state").textContent = text;
  $("state").className = is_bad ? "bad" : "";
}
async function look() {
  try {
    const answer = await fetch("/v1/links", { cache: "no-store",
      headers: token ? { Authorization: "Bearer " + token } : {} });
    $("ask").classList.toggle("shown", answer.status === 401);
    if (answer.ok) draw(await answer.json());
    else say((await answer.json()).error.what, true);
  } catch (fault) {
    say("the server does not answer", true);
  }
  setTimeout(look, document.hidden ? 5000 : 1000);
}
$("ask").addEventListener("submit", event => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("token", token);
});
look();
</script>
</html>
)page";

}  // namespace slipring::tools
