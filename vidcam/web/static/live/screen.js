// The picture, and the heat over it.

import { $ } from "./elements.js";
import { Heat } from "./player.js";
import { state } from "./state.js";
import { stats } from "./stats.js";

const EASE_S = 0.05; // the heat glides to the newest map within about this time
const SETTLED = 0.002; // of the scale: the heat has come to rest if no cell is further away from the newest map
const OPACITY = 0.62; // at first; there spotlight and contour have their full strength

/** How the evidence is drawn. Call `redraw` after a change. */
export const look = { style: "heat", opacity: OPACITY, signed: false };

let heat = null;
let size = [640, 480]; // of the picture, width and height
let patches = []; // the maps on their way to the newest ones
let isDirty = true, glided = 0;

/** Has the heat drawn anew at the next frame of the screen. */
export const redraw = () => { isDirty = true; };

/** Forgets all that was drawn, because another model explains from now on. */
export function reset() {
  heat = null;
  rest();
}

/** Forgets the maps, so that the next ones are drawn without gliding. */
export function rest() {
  patches = [];
  redraw();
}

/** Draws this evidence without gliding. */
export function jump(news) {
  patches = news.patches;
  redraw();
}

/** Shows a picture. */
export function put(image) {
  const canvas = $("picture");
  if (canvas.width !== image.width || canvas.height !== image.height) [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d", { alpha: false }).drawImage(image, 0, 0);
  if (!state.hello?.browser && !state.status?.size) resize(image.width, image.height);
}

/** Fits the frame to pictures of this size. */
export function resize(width, height) {
  if (!width || (size[0] === width && size[1] === height && $("frame").style.length)) return;
  size = [width, height];
  for (const box of [$("frame"), $("stage")]) {
    box.style.setProperty("--aspect", `${width} / ${height}`);
    box.style.setProperty("--ratio", width / height);
  }
  redraw();
}

/** Returns what draws over pictures of the present size. The evidence is in the pixels that the server saw, which may be fewer. */
export function drawer() {
  const [width, height] = state.status?.size ?? size;
  if (!heat || heat.size[0] !== height || heat.size[1] !== width) heat = new Heat(state.hello.drawing, [height, width]);
  return heat;
}

/** Draws the heat, if it has changed. Call it at every frame of the screen. */
export function drawFrame(now) {
  if (state.held === null && state.target) glide(now);
  if (!isDirty || !state.hello) return;
  isDirty = false;
  const canvas = $("overlay"), ratio = Math.min(1.5, devicePixelRatio || 1);
  const w = Math.max(1, Math.round(canvas.clientWidth * ratio)), h = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  drawer().draw(canvas, patches, { ...look, signed: look.signed && look.style !== "spotlight", threshold: 0, strength: Math.min(1, look.opacity / OPACITY) });
  const { from = null, settled = true } = patches;
  stats.drawn = { ...look, evidence: from?.number ?? null, time: from?.time ?? null, settled, times: stats.drawn.times + 1 };
}

/** Moves the maps part of the way to the newest ones, so that the heat glides instead of jumping. */
function glide(now) {
  const { target, isInStep } = state, part = isInStep ? 1 : 1 - Math.exp(-Math.min(0.2, (now - glided) / 1000) / EASE_S);
  glided = now;
  if (patches.from === target && patches.settled) return;
  const before = patches, same = before.length === target.patches.length
    && before.every((p, i) => p.label === target.label && p.values.length === target.patches[i].values.length);
  let far = 0;
  patches = target.patches.map((to, i) => ({
    ...to,
    label: target.label,
    values: same ? Float32Array.from(to.values, (v, k) => {
      const moved = before[i].values[k] + (v - before[i].values[k]) * part;
      far = Math.max(far, Math.abs(v - moved));
      return moved;
    }) : to.values,
  }));
  patches.from = target;
  patches.settled = far < SETTLED;
  redraw();
}
