// One run: what is known of it, as it happens, and what one can ask of it.
import { element, number, token } from "./common.js";
import { Chart, time } from "./charts.js";
import { listen, reason } from "./live.js";
import { bins, map, weights } from "./views.js";
import { Samples } from "./samples.js";

const key = document.body.dataset.key, base = `/runs/${key}`;
const $ = (query) => document.querySelector(query);
const kept = { steps: { x: [], curves: {} }, looks: { x: [], curves: {} } };
const charts = [], figures = new Map();
const samples = new Samples(base);
let state = null, seenView = 0, seenBins = 0;
const waiting = new Map();  // requests that were sent -> what was asked

function kimg(seen) { return `${number(seen / 1000)} kimg`; }

// -- panels

for (const panel of JSON.parse(document.body.dataset.panels)) {
  const place = element("div", { class: "charts" });
  const box = element("section", { class: "card", id: `panel-${panel.key}`, hidden: true }, element("h2", {}, panel.title), element("p", { class: "dim" }, panel.about), place);
  $("#panels").append(box);
  if (panel.key === "quality") figures.place = place;
  for (const chart of panel.charts) {
    const keys = Object.keys(chart.curves);
    charts.push({ box, source: chart.source, keys, chart: new Chart(place, { ...chart, names: Object.values(chart.curves) }) });
  }
}

function openPanels() {  // those with something in them
  for (const box of document.querySelectorAll("#panels > section")) box.hidden = ![...box.querySelectorAll(".chart")].some((chart) => !chart.hidden);
}

function append(old, news) {  // from bucket `since` on, what was there is replaced
  const cut = (part, n) => { part = (part || []).slice(0, news.since); while (part.length < n) part.push(null); return part; };
  const x = cut(old.x, news.since).concat(news.x), curves = {};
  for (const name of new Set([...Object.keys(news.since ? old.curves : {}), ...Object.keys(news.curves)])) {
    const before = (news.since && old.curves[name]) || [[]], after = news.curves[name] || [Array(news.x.length).fill(null)];
    const parts = Math.max(before.length, after.length);
    curves[name] = Array.from({ length: parts }, (_, i) => cut(before[i] || before[0], news.since).concat(after[i] || after[0]));
  }
  return { x, curves };
}

function onCurves(news) {
  for (const source of ["steps", "looks"]) kept[source] = append(kept[source], news[source]);
  drawCurves();
}

function drawCurves() {
  const reached = Math.max(kept.steps.x.at(-1) || 0, kept.looks.x.at(-1) || 0, state ? state.seen / 1000 : 0, 1e-6);
  time.max = reached * 1.01;
  for (const { source, keys, chart } of charts) chart.set(kept[source].x, keys.map((name) => kept[source].curves[name]));
  openPanels();
}

function drawFigures() {  // those with an interval, one chart each
  for (const figure of state.figures) {
    if (!figures.has(figure.key)) {
      const names = figure.lines.map((line) => line.name);
      figures.set(figure.key, new Chart(figures.place, { title: figure.title, about: figure.about, names }));
    }
    figures.get(figure.key).lay(figure.lines);
  }
}

// -- what is known

function drawVerdict() {
  const { verdict, answers, left, last, best } = state, card = $("#verdict");
  card.className = `card ${verdict.mood}`;
  card.querySelector(".symbol").textContent = verdict.symbol;
  card.querySelector(".word").textContent = verdict.word[0].toUpperCase() + verdict.word.slice(1);
  card.querySelector(".sentence").textContent = state.reading < 1 ? `Reading the record: ${Math.round(100 * state.reading)}%.` : verdict.sentence;
  Object.assign(document.body.dataset, { step: state.step, state: state.state });
  document.title = `${verdict.symbol} ${verdict.word} · ${state.name}`;
  const part = Math.min(1, state.seen / state.images), bar = card.querySelector(".progress");
  bar.firstElementChild.style.width = `${100 * part}%`;
  bar.setAttribute("aria-valuenow", Math.round(100 * part));
  const fact = (name, text, title) => text && element("span", { "data-name": name, title }, text);
  card.querySelector(".facts").replaceChildren(...[
    fact("", `${state.state}, ${Math.floor(100 * part)}% of ${kimg(state.images)}`),
    fact("", left.words, "By the speeds between checkpoints; four of five lie in the range"),
    fact("last checkpoint", last && `step ${last.step.toLocaleString("en")}`, "Read back and found whole when it was written"),
    fact("best checkpoint", best && `step ${best.step.toLocaleString("en")} (${best.by} ${number(best.value)})`, "Chosen on held-out data"),
  ].filter(Boolean));
  card.querySelector(".answers").replaceChildren(...answers.slice(1).map(({ question, said }) => element("div", {}, element("h3", {}, question),
    ...said.map((one) => element("p", {}, one.words, one.command ? " " : "", one.command ? element("code", {}, one.command) : "")))));
  $("#about").textContent = `${state.recipe}, seed ${state.seed}`;
}

function drawTimeline() {
  const marks = state.timeline.filter((each) => each.kind !== "request" || each.act !== "");
  time.marks = marks.map((each, i) => ({ x: each.seen / 1000, label: `${i + 1}`, kind: each.severity === "note" ? "note" : each.kind }));
  const axis = $("#timeline .axis");
  axis.replaceChildren(...time.marks.map((mark) => {
    const dot = element("b", { class: mark.kind }, mark.label);
    dot.style.left = `${Math.min(100, 100 * mark.x / Math.max(time.max, 1e-6))}%`;
    return dot;
  }));
  $("#timeline ol").replaceChildren(...marks.map((each, i) => element("li", { class: each.severity === "note" ? "note" : each.kind }, element("b", {}, `${i + 1}`),
    element("span", { class: "dim" }, kimg(each.seen)),
    element("span", {}, `${each.cause}: ${each.act}`, each.effect ? element("span", { class: "effect" }, ` (${each.effect})`) : ""),
    each.undo ? element("button", { type: "button", disabled: !mayAct(), title: "Sets these knobs back", onclick: () => send({ do: "set", knobs: each.undo }) }, "Undo") : "")).reverse());
  if (!marks.length) $("#timeline ol").replaceChildren(element("li", {}, element("span"), element("span"), element("span", { class: "dim" }, "Nothing was changed, and nothing found.")));
}

function drawAdvice() {
  $("#advice").hidden = !state.findings.length;
  $("#advice ul").replaceChildren(...state.findings.map((each) => element("li", {},
    element("span", { class: `tag ${each.severity === "note" ? "" : "bad"}` }, each.severity), " ", element("b", {}, each.symptom),
    ` since ${kimg(each.seen)}. ${each.meaning} ${each.advice}`, element("br"),
    element("span", { class: "dim" }, "Evidence: ", Object.entries(each.evidence).map(([name, value]) => `${name} ${value}`).join(", "), each.source ? `. ${each.source}.` : "."))));
}

// -- what one can do

function mayAct() { return Boolean(token) && (state.state === "running" || state.state === "paused"); }

function drawActs() {
  const may = mayAct(), paused = state.state === "paused";
  for (const button of document.querySelectorAll("#acts button")) button.disabled = !may;
  $("[data-do=pause]").hidden = paused;
  $("[data-do=resume]").hidden = !paused;
  $("[data-do=fork]").disabled = !token || !state.forkable.length;
  const mode = $("#mode");
  mode.disabled = !may;
  if (document.activeElement !== mode) mode.value = state.mode;
  const knob = $("#knob"), value = $("#value");
  if (knob.options.length !== state.knobs.length) {
    knob.replaceChildren(...state.knobs.map((each) => element("option", {}, each.name)));
    value.value = state.knobs[0].value;
  }
  value.placeholder = String(state.knobs.find((each) => each.name === knob.value).value);
  const checkpoint = $("#checkpoint"), steps = state.forkable.toReversed();
  if (steps.join() !== [...checkpoint.options].map((option) => option.value).join()) checkpoint.replaceChildren(...steps.map((step) => element("option", { value: step }, step.toLocaleString("en"))));
  if (!token) $("#answer").textContent = "To act, open the address that equipoise dashboard has printed: it holds the token.";
  else if (!may && !waiting.size) $("#answer").textContent = "The run does not play now. A fork begins another one.";
  else if (may && $("#answer").textContent.startsWith("The run does not")) $("#answer").textContent = "";
  const open = new Set(state.unanswered.map((each) => each.id));
  for (const [id, what] of waiting) {
    if (open.has(id)) continue;
    waiting.delete(id);
    const refused = state.timeline.findLast((each) => each.kind === "request");
    $("#answer").textContent = refused && refused.effect && refused.act.includes(what.split(" ")[0]) ? `${what}: ${refused.effect}` : `${what}: done.`;
  }
}

async function send(wish) {
  const what = wish.do === "set" ? Object.entries(wish.knobs).map(([name, value]) => `${name} → ${value}`).join(", ") : wish.do;
  $("#answer").textContent = `${what}: asked for…`;
  const answer = await fetch(`${base}/ask`, { method: "POST", headers: { "Content-Type": "application/json", "X-Equipoise-Token": token }, body: JSON.stringify(wish) });
  if (!answer.ok) {
    $("#answer").textContent = `${what}: ${await reason(answer)}`;
    return;
  }
  const { id } = await answer.json();
  if (wish.do === "fork") $("#answer").textContent = `A run begins in ${id}: it is among the runs in a moment.`;
  else waiting.set(id, what);
}

function parsed(text) {  // a knob's value: a number, true, false, or a word
  try { return JSON.parse(text); } catch { return text; }
}

$("#acts").addEventListener("click", ({ target }) => {
  switch (target.dataset.do) {
    case "step": return send({ do: "step", rounds: Number($("#rounds").value) });
    case "set": return send({ do: "set", knobs: { [$("#knob").value]: parsed($("#value").value.trim()) } });
    case "fork": return send({ do: "fork", checkpoint: Number($("#checkpoint").value) });
    case "pause": case "resume": case "snapshot": return send({ do: target.dataset.do });
  }
});
$("#mode").addEventListener("change", ({ target }) => send({ do: "guardian", mode: target.value }));
$("#knob").addEventListener("change", ({ target }) => { $("#value").value = state.knobs.find((each) => each.name === target.value).value; });
addEventListener("keydown", (event) => {
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey || !state) return;
  if (event.key === "p" && mayAct()) send({ do: state.state === "paused" ? "resume" : "pause" });
  if (event.key === "s" && mayAct()) send({ do: "snapshot" });
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") samples.move(event.key === "ArrowLeft" ? -1 : 1);
});

// -- as it happens

async function onState(fresh) {
  const marksBefore = JSON.stringify(state && state.timeline.map((each) => each.seen));
  state = fresh;
  document.body.classList.remove("alone");
  time.max = Math.max(state.seen / 1000, kept.steps.x.at(-1) || 0, 1e-6) * 1.01;
  drawVerdict();
  drawActs();
  drawTimeline();
  drawAdvice();
  samples.set(state);
  drawFigures();
  drawCurves();
  if (JSON.stringify(state.timeline.map((each) => each.seen)) !== marksBefore) Chart.redraw();
  if (state.view !== seenView || state.bins !== seenBins) {
    seenView = state.view, seenBins = state.bins;
    const view = state.view ? await (await fetch(`${base}/view`)).json() : {};
    map(view, state.kind);
    weights(view);
    bins(view, state, base);
  }
}

listen(`${base}/live`, { state: onState, curves: onCurves }, (why) => { document.body.classList.add("alone"); $("#about").textContent = why; });
