// The list of events, the rules that make them, and the regions of the picture that rules may ask for.

import { button, clamp, make, percent } from "./common.js";

const $ = (id) => document.getElementById(id);
const LISTED = 50;
const EDGES = ["left", "top-edge", "right", "bottom"]; // the fields, in the order of a box
const CLICK = 0.01; // of the picture: a drag that is shorter is no region

export class Watch {
  /** `say(message)` sends to the server; `show(event)` shows an event's moment and returns whether it could; `isMirrored()`. */
  constructor({ say, show, isMirrored }) {
    Object.assign(this, { say, show, isMirrored });
    this.events = new Map();
    this.isAsking = false; // whether a rule or region was sent that is not answered yet
    $("rule-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask({ type: "rule", add: $("rule").value });
    });
    $("region-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask({ type: "region", name: $("region").value, box: EDGES.map((edge) => Number($(edge).value) / 100) });
      this.draw(false);
    });
    $("draw").addEventListener("click", () => this.draw($("draw").getAttribute("aria-pressed") !== "true"));
    this.followDrag();
  }

  clear() {
    this.events.clear();
    $("events").replaceChildren();
    $("no-events").hidden = false;
  }

  // --- events

  take(event) {
    const known = this.events.get(event.number);
    const item = this.makeItem(event);
    if (known) known.item.replaceWith(item);
    else $("events").prepend(item);
    this.events.set(event.number, { event, item });
    while ($("events").children.length > LISTED) $("events").lastChild.remove();
    $("no-events").hidden = true;
  }

  makeItem(event) {
    const item = make("li"), open = button("event", "", () => { if (!this.show(event)) this.showPicture(event); });
    const picture = make(event.picture ? "img" : "span", "thumb");
    if (event.picture) Object.assign(picture, { src: `data:image/jpeg;base64,${event.picture}`, alt: "" });
    const words = make("span", "words");
    const lasted = event.end_s === null ? "now" : `${Math.max(0, event.end_s - event.start_s).toFixed(1)} s`;
    words.append(make("b", "", event.action), make("small", "num", `${time(event)} · ${percent(event.score)} · ${lasted}`), make("small", "", event.rule));
    open.title = `Rule: ${event.rule}. Model: ${event.model}`;
    open.append(picture, words);
    item.append(open);
    return item;
  }

  showPicture(event) {
    $("event-title").textContent = event.action;
    const lasted = event.end_s === null ? "not over yet" : `${Math.max(0, event.end_s - event.start_s).toFixed(1)} s long`;
    $("event-facts").textContent = `${new Date(event.start).toLocaleString()}, ${lasted}. ${percent(event.score)} by ${event.model}. Rule: ${event.rule}`;
    $("event-picture").hidden = !event.picture;
    if (event.picture) $("event-picture").src = `data:image/jpeg;base64,${event.picture}`;
    $("event-picture").alt = `The picture when ${event.action} began, with its evidence`;
    $("event").showModal();
  }

  // --- rules and regions

  ask(message) {
    this.isAsking = true;
    this.tell("");
    this.say(message);
  }

  /** Shows why a rule or region was refused, beside their fields; returns false if none was asked for. */
  refuse(words) {
    const isOurs = this.isAsking;
    if (isOurs) this.tell(words);
    this.isAsking = false;
    return isOurs;
  }

  tell(words) {
    $("refused").textContent = words;
    $("refused").hidden = !words;
  }

  update({ rules, regions }) {
    this.isAsking = false;
    this.tell("");
    $("rules").replaceChildren(...rules.map(({ words, fixed }) =>
      this.row(words, fixed, () => this.ask({ type: "rule", remove: words }), `Remove the rule ${words}`)));
    $("regions").replaceChildren(...regions.map(({ name, words, fixed }) => {
      const row = this.row(name, fixed, () => this.ask({ type: "region", name, box: null }), `Remove the region ${name}`);
      row.title = `Keep it with the option --region ${words.includes(" ") ? `"${words}"` : words}`;
      return row;
    }));
    $("outlines").replaceChildren(...regions.map(({ name, box }) => outline(name, box)));
    if (rules.some(({ words }) => words && !this.before?.includes(words))) $("rule").value = "";
    this.before = rules.map(({ words }) => words);
  }

  row(words, fixed, remove, name) {
    const row = make("li");
    row.append(make("span", "", words));
    if (fixed) row.append(make("small", "", "command line"));
    else {
      const made = button("small", "×", remove);
      made.setAttribute("aria-label", name);
      row.append(made);
    }
    return row;
  }

  // --- drawing a region

  draw(on) {
    $("draw").setAttribute("aria-pressed", String(on));
    $("region-form").hidden = !on;
    $("frame").classList.toggle("drawing", on);
    $("drawn").replaceChildren();
    if (on) {
      $("region").value = "";
      this.outlineDrawn();
    }
  }

  outlineDrawn() {
    $("drawn").replaceChildren(outline($("region").value, EDGES.map((edge) => Number($(edge).value) / 100)));
  }

  followDrag() {
    const frame = $("frame");
    let from = null;
    const at = (event) => {
      const box = frame.getBoundingClientRect(), x = clamp((event.clientX - box.left) / box.width, 0, 1);
      return [this.isMirrored() ? 1 - x : x, clamp((event.clientY - box.top) / box.height, 0, 1)];
    };
    const drag = (event) => {
      if (!from) return;
      const to = at(event);
      const box = [0, 1].map((i) => Math.min(from[i], to[i])).concat([0, 1].map((i) => Math.max(from[i], to[i])));
      if (box[2] - box[0] < CLICK || box[3] - box[1] < CLICK) return;
      EDGES.forEach((edge, i) => { $(edge).value = (100 * box[i]).toFixed(1); });
      this.outlineDrawn();
    };
    frame.addEventListener("pointerdown", (event) => {
      if (!frame.classList.contains("drawing")) return;
      event.preventDefault();
      from = at(event);
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", drag);
    frame.addEventListener("pointerup", (event) => {
      drag(event);
      if (from) $("region").focus();
      from = null;
    });
    for (const id of [...EDGES, "region"]) $(id).addEventListener("input", () => this.outlineDrawn());
  }
}

const time = (event) => new Date(event.start).toLocaleTimeString();

/** Returns the outline of a region over the picture. */
function outline(name, [x0, y0, x1, y1]) {
  const box = make("div", "region");
  Object.assign(box.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`, height: `${100 * (y1 - y0)}%` });
  box.append(make("span", "", name));
  return box;
}
