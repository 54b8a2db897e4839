// The evidence for each answer in the last minute as curves, with the answers above them; the user can choose a time in it.

import { make } from "./common.js";
import { WORDS } from "./words.js";

const BAND = 20, PAD = 6, AXIS = 16;
const COLOURS = 5;
const GAP_S = 1; // evidence that is farther apart is not joined, unless it always comes so seldom

export class Timeline {
  /** `choose(time)` is called when the user points at a time. */
  constructor(canvas, list, choose) {
    this.canvas = canvas;
    this.list = list;
    this.colours = new Map(); // label -> number of its colour
    this.span = null;
    const pick = (event) => {
      const box = canvas.getBoundingClientRect();
      if (this.span) choose(this.span[0] + ((event.clientX - box.left) / box.width) * (this.span[1] - this.span[0]));
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); pick(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) pick(event); });
  }

  /** Gives colours to the labels that have been explained most often in the last minute. */
  assign(evidence) {
    const seen = new Map();
    for (const news of evidence) seen.set(news.label, (seen.get(news.label) ?? 0) + 1);
    const wanted = [...seen].sort((a, b) => b[1] - a[1]).map(([label]) => label).slice(0, COLOURS);
    for (const label of this.colours.keys()) if (!wanted.includes(label)) this.colours.delete(label);
    const free = [...Array(COLOURS).keys()].filter((n) => ![...this.colours.values()].includes(n));
    for (const label of wanted) if (!this.colours.has(label)) this.colours.set(label, free.shift());
  }

  draw(memory, { now, held, label }) {
    const canvas = this.canvas, ratio = Math.min(2, devicePixelRatio || 1);
    const w = canvas.clientWidth, h = canvas.clientHeight;
    if (!w || !h) return;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const style = getComputedStyle(canvas), ink = (name) => style.getPropertyValue(name).trim();
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    const end = Number.isFinite(now) ? now : 0, span = this.span = [end - memory.keep_s, end];
    const x = (time) => ((time - span[0]) / (span[1] - span[0])) * w;
    const evidence = memory.evidence, gap = longestJoin(evidence), top = BAND + PAD, low = h - AXIS;
    this.assign(evidence);
    c.font = `11px ${style.fontFamily}`;
    c.textBaseline = "middle";

    c.fillStyle = ink("--soft");
    c.strokeStyle = ink("--line");
    c.lineWidth = 1;
    for (let back = 10; back < memory.keep_s; back += 10) {
      const at = Math.round(x(end - back)) + 0.5;
      c.beginPath();
      c.moveTo(at, top);
      c.lineTo(at, low);
      c.stroke();
      c.textAlign = "center";
      c.fillText(WORDS.back(back), at, h - AXIS / 2 + 1);
    }
    c.textAlign = "right";
    c.fillText(held === null ? WORDS.now : WORDS.pausedEnd, w - 2, h - AXIS / 2 + 1);

    let high = 1e-9;
    for (const { curves } of evidence) for (const name of this.colours.keys()) if (curves[name] > high) high = curves[name];
    const y = (value) => low - 1 - (value / high) * (low - top - 3);
    c.strokeStyle = ink("--soft");
    c.globalAlpha = 0.5;
    c.beginPath();
    c.moveTo(0, Math.round(y(0)) + 0.5);
    c.lineTo(w, Math.round(y(0)) + 0.5);
    c.stroke();
    c.globalAlpha = 1;

    for (const [name, colour] of [...this.colours].sort((a) => (a[0] === label ? 1 : -1))) {
      for (const run of runs(evidence, name, gap)) {
        const line = new Path2D(), area = new Path2D();
        run.forEach(({ time, value }, i) => {
          line[i ? "lineTo" : "moveTo"](x(time), y(value));
          area[i ? "lineTo" : "moveTo"](x(time), y(value));
        });
        area.lineTo(x(run.at(-1).time), y(0));
        area.lineTo(x(run[0].time), y(0));
        c.fillStyle = c.strokeStyle = ink(`--c${colour}`);
        c.globalAlpha = name === label ? 0.3 : 0.08;
        c.fill(area);
        c.globalAlpha = name === label ? 1 : 0.55;
        c.lineWidth = name === label ? 2 : 1.25;
        c.stroke(line);
        c.globalAlpha = 1;
      }
    }
    this.band(c, evidence, gap, x, w, ink);

    if (held !== null) {
      c.strokeStyle = ink("--ink");
      c.lineWidth = 2;
      c.beginPath();
      c.moveTo(x(held), 0);
      c.lineTo(x(held), low);
      c.stroke();
    }
    this.legend();
  }

  /** Draws the answers in order. */
  band(c, evidence, gap, x, w, ink) {
    c.textAlign = "left";
    let i = 0;
    while (i < evidence.length) {
      let j = i;
      while (j + 1 < evidence.length && evidence[j + 1].top[0][0] === evidence[i].top[0][0] && evidence[j + 1].time - evidence[j].time < gap) j++;
      const label = evidence[i].top[0][0], from = Math.max(0, x(evidence[i].time));
      const to = Math.min(w, j + 1 < evidence.length && evidence[j + 1].time - evidence[j].time < gap ? x(evidence[j + 1].time) : x(evidence[j].time));
      const colour = this.colours.get(label);
      c.fillStyle = colour === undefined ? ink("--soft") : ink(`--c${colour}`);
      c.globalAlpha = 0.28;
      c.fillRect(from, 0, Math.max(1.5, to - from - 1), BAND);
      c.globalAlpha = 1;
      if (to - from > 24) {
        c.save();
        c.beginPath();
        c.rect(from, 0, to - from - 3, BAND);
        c.clip();
        c.fillStyle = ink("--ink");
        c.fillText(label, from + 6, BAND / 2 + 0.5);
        c.restore();
      }
      i = j + 1;
    }
  }

  legend() {
    const wanted = [...this.colours.keys()].join("\n");
    if (this.list.dataset.shown === wanted) return;
    this.list.dataset.shown = wanted;
    this.list.replaceChildren(...[...this.colours].map(([label, colour]) => {
      const item = make("li", "", label);
      item.style.setProperty("--c", `var(--c${colour})`);
      return item;
    }));
  }
}

/** Returns how far apart in seconds two pieces of evidence may be to be joined: three times as far as is usual here, or more. */
function longestJoin(evidence) {
  const apart = evidence.slice(1).map(({ time }, i) => time - evidence[i].time).sort((a, b) => a - b);
  return Math.max(GAP_S, 3 * (apart[apart.length >> 1] ?? 0));
}

/** Returns the stretches over which the evidence for a label is known without a gap. */
function runs(evidence, label, gap) {
  const out = [];
  let run = null, last = -Infinity;
  for (const { time, curves } of evidence) {
    const value = curves[label];
    if (value === undefined) continue;
    if (!run || time - last > gap) out.push((run = []));
    run.push({ time, value });
    last = time;
  }
  return out.filter((r) => r.length > 1);
}
