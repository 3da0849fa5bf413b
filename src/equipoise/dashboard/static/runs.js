// Many runs: listed, searched, compared.
import { Chart, time } from "./charts.js";
import { element, token } from "./common.js";

const body = document.querySelector("#runs tbody"), search = document.getElementById("search");
const button = document.getElementById("compare"), told = document.getElementById("told");
const chosen = new Set();
let runs = [];

function row(run) {
  const bar = element("div", { class: "progress" }, element("div"));
  bar.firstChild.style.width = `${100 * run.progress}%`;
  const choose = element("input", { type: "checkbox", "aria-label": `choose ${run.name}`, checked: chosen.has(run.key) });
  choose.addEventListener("change", () => {
    choose.checked ? chosen.add(run.key) : chosen.delete(run.key);
    button.disabled = chosen.size < 2;
  });
  return element("tr", {},
    element("td", {}, choose),
    element("td", {}, element("a", { href: `/runs/${run.key}` }, run.name), element("br"), element("span", { class: "dim" }, run.recipe)),
    element("td", {}, element("span", { class: `tag ${run.mood}` }, `${run.symbol} ${run.word}`)),
    element("td", {}, run.state), element("td", {}, bar), element("td", {}, run.figure));
}

function draw() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = runs.filter((run) => {
    const text = [run.name, run.recipe, run.word, run.state, run.figure].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  body.replaceChildren(...found.slice(0, 500).map(row));
  told.textContent = runs.length ? `${found.length} of ${runs.length} runs` : "No runs here yet. Start one: equipoise train digits";
}

async function read() {
  try {
    const fresh = (await (await fetch("/api/runs")).json()).runs;
    if (JSON.stringify(fresh) !== JSON.stringify(runs) || !runs.length) {
      runs = fresh;
      draw();
    }
  } catch { told.textContent = "The server of this page does not answer."; }
  setTimeout(read, document.hidden ? 15000 : 3000);
}

function drawCharts(place, told) {  // runs over one another
  Chart.clear();
  place.replaceChildren();
  time.max = Math.max(1, ...told.flatMap((chart) => chart.lines.flatMap((line) => line.x)));
  for (const chart of told) new Chart(place, { ...chart, names: chart.lines.map((line) => line.name) }).lay(chart.lines);
}

async function compare() {
  const found = await (await fetch(`/api/compare?${[...chosen].map((key) => `run=${key}`).join("&")}`)).json();
  const section = document.getElementById("compared"), place = section.querySelector(".scroll");
  section.hidden = false;
  drawCharts(section.querySelector(".charts"), found.charts);
  section.querySelector("ul").replaceChildren(...(found.notes || []).map((note) => element("li", {}, note)));
  if (found.error) return place.replaceChildren(element("p", {}, found.error));
  const head = found.arms.map((arm) => element("th", {}, arm.name, element("br"), element("span", { class: "dim" }, `seeds ${arm.seeds}`)));
  const lines = found.rows.map((line) => element("tr", {}, element("td", {}, line.name, element("br"),
    element("span", { class: "dim" }, line.better && `${line.better} is better`)),
    ...line.cells.map((cell) => element("td", {}, element("b", {}, cell.mean), " ", cell.interval, element("br"),
      element("span", { class: "dim" }, cell.verdict || "")))));
  place.replaceChildren(element("table", { class: "list" }, element("tbody", {}, element("tr", {}, element("th", {}, ""), ...head), ...lines)));
  section.scrollIntoView({ behavior: "smooth" });
}

search.addEventListener("input", draw);
button.addEventListener("click", compare);
addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
});
void token;
read();
