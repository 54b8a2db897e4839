// Regions of the picture: their outlines, and the form in which the user draws a new one.

import { clamp, make } from "./common.js";
import { $ } from "./elements.js";

const EDGES = ["left", "top-edge", "right", "bottom"]; // the fields, in the order of a box
const CLICK = 0.01; // of the picture: a drag that is shorter is no region

export class RegionForm {
  /** `save(name, box)` is called with a new region; `isMirrored()`: whether the picture is. */
  constructor({ isMirrored, save }) {
    this.isMirrored = isMirrored;
    $("draw").addEventListener("click", () => this.open($("draw").getAttribute("aria-pressed") !== "true"));
    $("region-form").addEventListener("submit", (event) => {
      event.preventDefault();
      save($("region").value, this.box);
      this.open(false);
    });
    for (const id of [...EDGES, "region"]) $(id).addEventListener("input", () => this.showOutline());
    this.followDrag();
  }

  /** The edges in the fields, in shares of the picture. */
  get box() { return EDGES.map((edge) => Number($(edge).value) / 100); }

  open(on) {
    $("draw").setAttribute("aria-pressed", String(on));
    $("region-form").hidden = !on;
    $("frame").classList.toggle("drawing", on);
    $("drawn").replaceChildren();
    if (!on) return;
    $("region").value = "";
    this.showOutline();
    $("region-form").scrollIntoView({ block: "nearest" });
  }

  showOutline() { $("drawn").replaceChildren(makeOutline($("region").value, this.box)); }

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
      this.showOutline();
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
  }
}

/** Makes the outline of a region over the picture. */
export function makeOutline(name, [x0, y0, x1, y1]) {
  const box = make("div", "region");
  Object.assign(box.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`, height: `${100 * (y1 - y0)}%` });
  box.append(make("span", "", name));
  return box;
}
