// What the run wrote at its last look: a map of samples, the field of D, the bins of the data, and weights.
import { colour, element, number } from "./common.js";

let last = {};

export function map(view, kind) {
  last = { view, kind };
  const section = document.getElementById("map"), points = view.map;
  section.hidden = !points;
  if (!points) return;
  section.querySelector("p").textContent = view.field
    ? `Where samples lie in the plane, and where D takes them for real (strong colour) or not. Step ${view.step.toLocaleString("en")}.`
    : `The two directions in which reals vary most (principal components of what the guardian sees). Samples should lie where reals lie. Step ${view.step.toLocaleString("en")}.`;
  const canvas = section.querySelector("canvas"), context = canvas.getContext("2d"), { width, height } = canvas;
  const [left, right, low, high] = points.box, x = (v) => (v - left) / (right - left) * width, y = (v) => (1 - (v - low) / (high - low)) * height;
  context.fillStyle = colour("--card");
  context.fillRect(0, 0, width, height);
  if (view.field) field(context, view.field, width, height);
  const dot = (draw, name, cloud, size) => { context.fillStyle = context.strokeStyle = colour(name); for (const [a, b] of cloud) draw(x(a), y(b), size); };
  context.globalAlpha = 0.75;
  dot((a, b, s) => context.fillRect(a - s / 2, b - s / 2, s, s), "--dim", points.real, 5);
  context.lineWidth = 1.6;
  dot((a, b, s) => { context.beginPath(); context.moveTo(a - s, b - s); context.lineTo(a + s, b + s); context.moveTo(a - s, b + s); context.lineTo(a + s, b - s); context.stroke(); }, "--c1", points.fake, 3);
  context.globalAlpha = 1;
  context.font = "14px system-ui, sans-serif";
  context.fillStyle = colour("--dim");
  context.fillText("■ real", 10, 20);
  context.fillStyle = colour("--c1");
  context.fillText("× generated", 70, 20);
}

function field(context, { n, logits }, width, height) {  // row by row from below, between its least and its largest value
  const least = Math.min(...logits), range = Math.max(...logits) - least || 1;
  context.fillStyle = colour("--c0");
  logits.forEach((value, i) => {
    context.globalAlpha = 0.55 * (value - least) / range;
    const column = i % n, row = Math.floor(i / n);
    const x = Math.round(column * width / n), y = Math.round((n - 1 - row) * height / n);  // no two overlap
    context.fillRect(x, y, Math.round((column + 1) * width / n) - x, Math.round((n - row) * height / n) - y);
  });
  context.globalAlpha = 1;
}

export function weights(view) {
  const section = document.getElementById("weights"), place = section.querySelector(".charts");
  section.hidden = !view.weights;
  place.replaceChildren(...(view.weights || []).map(({ name, low, high, counts }) => {
    const canvas = element("canvas", { width: 480, height: 120, role: "img", "aria-label": `Histogram of the weights of ${name}` });
    const context = canvas.getContext("2d"), most = Math.log1p(Math.max(...counts));
    context.fillStyle = colour(name.startsWith("G") ? "--c1" : "--c0");
    counts.forEach((count, i) => { const tall = 110 * Math.log1p(count) / most; context.fillRect(i * 480 / counts.length, 120 - tall, 480 / counts.length - 1, tall); });
    return element("figure", {}, element("h3", {}, name), canvas, element("figcaption", {}, `${number(low)} to ${number(high)}; heights are logarithmic`));
  }));
}

// `view.reals` are the shares of reals by bin; the picture of examples is one strip, a square for each.
export async function bins(view, state, base) {
  const section = document.getElementById("bins"), reals = view.reals || [];
  section.hidden = !reals.length;
  if (!reals.length) return;
  const shares = state.shares, missing = reals.map((share, i) => (shares[i] || 0) < 0.1 * share), many = missing.filter(Boolean).length;
  section.querySelector("p").textContent = `${reals.length - many} of ${reals.length} bins of the data are drawn` +
    (many ? `; ${many} are missing (less than a tenth of their share): they come first, framed.` : ".") + " Beneath each: its share of the samples, and of reals.";
  const order = reals.map((_, i) => i).sort((a, b) => missing[b] - missing[a] || a - b);
  let strip = null;
  if (state.bins) {
    strip = new Image();
    strip.src = `${base}/bins?${state.bins}`;
    try { await strip.decode(); } catch { strip = null; }
  }
  section.querySelector(".tiles").replaceChildren(...order.map((i) => {
    const tile = element("div", { class: missing[i] ? "tile missing" : "tile", title: missing[i] ? "missing" : "covered" });
    if (strip) {
      const side = strip.naturalHeight, canvas = element("canvas", { width: side, height: side });
      canvas.getContext("2d").drawImage(strip, i * side, 0, side, side, 0, 0, side, side);
      tile.append(canvas);
    }
    tile.append(`${missing[i] ? "! " : ""}${(100 * (shares[i] || 0)).toFixed(1)}%`, element("br"), `of ${(100 * reals[i]).toFixed(1)}%`);
    return tile;
  }));
}

addEventListener("theme", () => { if (last.view) map(last.view, last.kind), weights(last.view); });
