// Charts over the one time axis of a run: thousands of real samples shown to D.
import { colour, element, number } from "./common.js";

const HIGH = 190, DASHES = [[], [7, 4], [2, 4], [9, 3, 2, 3]];
const dash = (i) => (i + Math.floor(i / 4)) % 4;  // sixteen lines that differ
const sync = uPlot.sync("time");
export const time = { max: 1, marks: [] };  // of all charts; marks: {x, label, kind}
const all = new Set();

const marked = {  // a line at each intervention
  hooks: {
    draw(u) {
      const context = u.ctx, { top, height, left, width } = u.bbox, ratio = devicePixelRatio;
      context.save();
      context.font = `${10 * ratio}px system-ui, sans-serif`;
      context.textAlign = "center";
      for (const mark of time.marks) {
        const x = u.valToPos(mark.x, "x", true);
        if (x < left || x > left + width) continue;
        context.strokeStyle = context.fillStyle = colour({ finding: "--bad", request: "--c2", note: "--dim" }[mark.kind] || "--c0");
        context.globalAlpha = 0.6;
        context.setLineDash([2 * ratio, 3 * ratio]);
        context.beginPath();
        context.moveTo(x, top + 10 * ratio);
        context.lineTo(x, top + height);
        context.stroke();
        context.globalAlpha = 1;
        context.fillText(mark.label, x, top + 8 * ratio);
      }
      context.restore();
    },
  },
};

export class Chart {
  constructor(place, { title, about, names, log = false, chance = null }) {
    this.names = names, this.log = log, this.chance = chance, this.data = null, this.plot = null;
    this.legend = element("div", { class: "legend" });
    this.canvas = element("div");
    this.box = element("div", { class: "chart", hidden: true }, element("h3", {}, title),
      element("p", { class: "dim" }, about || ""), this.canvas, this.legend);
    place.append(this.box);
    all.add(this);
    new ResizeObserver(() => this.plot && this.plot.setSize({ width: this.wide, height: HIGH })).observe(this.box);
    new IntersectionObserver((seen) => {  // nothing is drawn before it is seen
      this.seen = seen.at(-1).isIntersecting;
      if (this.seen && this.stale) this.draw();
    }, { rootMargin: "300px" }).observe(this.box);
  }

  get wide() { return Math.max(200, this.box.clientWidth); }

  // x: numbers; curves: for each name [mean] or [mean, low, high], or nothing
  set(x, curves) {
    const there = curves.map((curve) => curve && curve[0].some((value) => value != null));
    this.box.hidden = !there.some(Boolean);
    const blank = x.map(() => null), data = [x];
    for (const curve of curves) data.push((curve && curve[0]) || blank, (curve && curve[1]) || blank, (curve && curve[2]) || blank);
    if (this.log && data.slice(1).some((part) => part.some((value) => value != null && value <= 0))) {
      for (const part of data.slice(1)) part.forEach((value, i) => { if (value != null && value <= 0) part[i] = null; });
    }
    this.data = data, this.there = there, this.stale = true;
    if (this.seen) this.draw();
  }

  lay(lines) {  // lines of {x, y, low, high}, each over an x of its own
    const x = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    const placed = (line, values) => { const at = new Map(line.x.map((each, i) => [each, values[i]])); return x.map((each) => at.get(each) ?? null); };
    this.set(x, lines.map((line) => [placed(line, line.y), placed(line, line.low), placed(line, line.high)]));
  }

  draw() {
    this.stale = false;
    if (!this.data || this.box.hidden) return;
    if (this.plot) this.plot.setData(this.data, false), this.plot.setScale("x", { min: 0, max: time.max }), this.plot.redraw();
    else this.build();
    this.tell(null);
  }

  build() {
    const series = [{}], bands = [];
    this.names.forEach((name, i) => {
      const stroke = colour(`--c${i % 4}`);
      series.push({ stroke, width: 2, dash: DASHES[dash(i)], spanGaps: true, points: { show: this.data[0].length < 40, size: 5 } });
      for (let k = 0; k < 2; k++) series.push({ stroke: "transparent", width: 0, spanGaps: true, points: { show: false } });
      bands.push({ series: [3 * i + 3, 3 * i + 2], fill: `${stroke}33` });
    });
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "11px system-ui, sans-serif" };
    const values = (u, ticks) => ticks.map((tick) => (tick == null ? "" : number(tick)));
    this.plot = new uPlot({
      width: this.wide, height: HIGH, series, bands, legend: { show: false }, plugins: [marked],
      cursor: { sync: { key: sync.key }, drag: { x: true, y: false } },
      scales: { x: { time: false, range: () => [0, time.max] }, y: { distr: this.log ? 3 : 1, range: this.log ? undefined : (u, low, high) => this.range(low, high) } },
      axes: [{ ...axis, values, size: 26 }, { ...axis, values, size: 56 }],
      hooks: { setCursor: [(u) => this.tell(u.cursor.idx)] },
    }, this.data, this.canvas);
  }

  range(low, high) {
    if (low == null) return [0, 1];
    if (this.chance != null) low = Math.min(low, this.chance), high = Math.max(high, this.chance);
    const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }

  tell(place) {  // the values under the cursor, or the last ones
    this.legend.replaceChildren(...this.names.map((name, i) => {
      const column = this.data[3 * i + 1];
      const value = place == null ? column.findLast((each) => each != null) : column[place];
      return this.there[i] && element("span", { class: `k${i % 4}` }, element("i", { class: `k${i % 4} d${dash(i)}` }), element("span", {}, `${name} `), element("b", {}, number(value)));
    }).filter(Boolean));
  }

  static clear() {  // other runs are chosen
    for (const chart of all) if (chart.plot) chart.plot.destroy();
    all.clear();
  }

  static redraw() {  // another theme, or other marks
    for (const chart of all) {
      if (chart.plot) chart.plot.destroy(), chart.plot = null;
      chart.stale = true;
      if (chart.seen) chart.draw();
    }
  }
}

addEventListener("theme", () => Chart.redraw());
