// Samples of the same latents over the run, with a slider: the average of G, G itself, and reals.
import { element, number } from "./common.js";

export class Samples {
  constructor(base) {
    this.base = base, this.steps = [], this.follows = true, this.state = null, this.shown = "";
    this.slider = document.getElementById("scrub");
    this.slider.addEventListener("input", () => { this.follows = this.slider.value === this.slider.max; this.draw(); });
  }

  set(state) {
    this.state = state, this.steps = state.samples;
    document.getElementById("samples").hidden = !this.steps.length;
    const last = Math.max(0, this.steps.length - 1);
    this.slider.max = last;
    if (this.follows) this.slider.value = last;
    this.draw();
  }

  move(by) {
    this.slider.value = Number(this.slider.value) + by;
    this.follows = this.slider.value === this.slider.max;
    this.draw();
  }

  draw() {
    const step = this.steps[Number(this.slider.value)];
    if (step == null) return;
    const all = this.steps.at(-1) || 1, seen = this.state.seen * step / Math.max(this.state.step, 1);
    document.getElementById("when").textContent = `step ${step.toLocaleString("en")}, ${number(Math.min(seen, this.state.seen) / 1000)} kimg`;
    this.slider.setAttribute("aria-valuetext", `step ${step} of ${all}`);
    const now = `${step} ${this.state.kind} ${this.state.raw}`;
    if (now === this.shown) return;
    this.shown = now;
    const sides = this.state.kind === "text" ? [["ema", "Sentences of the average of G"]] :
      this.state.kind === "translation" ? [["ema", "Before, after, and what it should be, side by side"]] :
      this.state.raw ? [["ema", "Average of G (EMA)"], ["raw", "G itself"], ["real", "Real"]] : [["ema", "Average of G (EMA)"]];
    const place = document.querySelector("#samples .sides");
    if (place.dataset.sides !== sides.join()) {
      place.dataset.sides = sides.join();
      place.replaceChildren(...sides.map(([net, words]) => element("figure", { "data-net": net },
        this.state.kind === "text" ? element("pre", {}) : element("img", { alt: words, decoding: "async" }), element("figcaption", {}, words))));
    }
    for (const figure of place.children) this.show(figure, `${this.base}/samples/${step}/${figure.dataset.net}`);
  }

  async show(figure, address) {
    const inner = figure.firstElementChild;
    if (inner.tagName === "IMG") { if (inner.getAttribute("src") !== address) inner.src = address; return; }
    const answer = await fetch(address);
    if (answer.ok) inner.textContent = await answer.text();
  }
}
