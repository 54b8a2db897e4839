// The keys of the page. The list that explains them to users is in index.html.

import { $ } from "./elements.js";
import { setMirrored, setOpacity, setStyle } from "./look.js";
import { setInStep, step, togglePause } from "./moment.js";
import { look } from "./screen.js";
import { state } from "./state.js";
import { saveSnapshot, toggleRecording } from "./studio.js";

const OPACITY_STEP = 0.08;
const FIELDS = "input[type=text], input[type=number]"; // there, letters are letters

const KEYS = {
  " ": togglePause, ArrowLeft: (event) => step(-1, event.shiftKey), ArrowRight: (event) => step(1, event.shiftKey),
  1: () => setStyle("heat"), 2: () => setStyle("contour"), 3: () => setStyle("spotlight"),
  "+": () => setOpacity(look.opacity + OPACITY_STEP), "=": () => setOpacity(look.opacity + OPACITY_STEP), "-": () => setOpacity(look.opacity - OPACITY_STEP),
  h: () => $("frame").classList.add("bare"), i: () => setInStep(!state.isInStep), m: () => setMirrored(!state.isMirrored),
  s: saveSnapshot, r: toggleRecording, f: toggleFullScreen, "?": () => $("keys").showModal(),
};

export function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("stage").requestFullscreen?.();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.target.matches(FIELDS)) return;
  const isMoving = event.target.matches("select, input[type=range]") && event.key.startsWith("Arrow");
  const isPressing = event.target.matches("button, input[type=checkbox], select") && event.key === " ";
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || isMoving || isPressing) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) action(event);
});
addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "h") $("frame").classList.remove("bare"); });
