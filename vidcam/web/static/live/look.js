// The controls of this viewer alone: style, opacity, sign, mirror, and what the colours mean.

import { clamp } from "./common.js";
import { $ } from "./elements.js";
import { setInStep } from "./moment.js";
import { drawer, look, redraw } from "./screen.js";
import { state } from "./state.js";
import { WORDS } from "./words.js";

export function setStyle(style) {
  look.style = style;
  for (const button of $("style").children) button.setAttribute("aria-checked", String(button.dataset.style === style));
  redraw();
}

export function setOpacity(value) {
  look.opacity = clamp(value, 0, 1);
  $("opacity").value = look.opacity;
  document.querySelector("output[for=opacity]").textContent = WORDS.share(look.opacity);
  redraw();
}

export function setMirrored(on) {
  state.isMirrored = on;
  $("frame").classList.toggle("mirrored", on);
  $("mirror").setAttribute("aria-pressed", String(on));
}

/** Draws what the colours stand for. */
export function drawRamp() {
  const { tables } = drawer(), table = look.signed ? tables.signed : tables.plain;
  const c = $("ramp").getContext("2d"), image = c.createImageData(256, 1);
  for (let i = 0; i < 256; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = table[3 * i + k];
    const v = look.signed ? Math.abs(i - 128) / 127 : i / 255;
    image.data[4 * i + 3] = 255 * Math.min(1, Math.sin((Math.PI / 2) * v));
  }
  c.putImageData(image, 0, 0);
  const [low, high] = WORDS.ramp[look.signed ? "signed" : "plain"];
  [$("ramp-low").textContent, $("ramp-high").textContent] = [low, high];
}

$("step").addEventListener("change", (event) => setInStep(event.target.checked));
$("opacity").addEventListener("input", (event) => setOpacity(Number(event.target.value)));
$("style").addEventListener("click", (event) => { if (event.target.dataset.style) setStyle(event.target.dataset.style); });
$("signed").addEventListener("change", (event) => {
  look.signed = event.target.checked;
  if (state.hello) drawRamp();
  redraw();
});
$("mirror").addEventListener("click", () => setMirrored(!state.isMirrored));
setOpacity(look.opacity);
