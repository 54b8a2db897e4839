// The line at the top: how the source is, and what is measured.

import { clock } from "./clock.js";
import { $ } from "./elements.js";
import { UP_TO_DATE } from "./link.js";
import { hideNotice, notice } from "./notice.js";
import { state } from "./state.js";
import { stats } from "./stats.js";
import { WORDS } from "./words.js";

const RATE_S = 2; // the time over which rates are counted

let droppedBefore = 0;

/** Shows the state of the source, and the reason if something is wrong. */
export function showState(name, reason) {
  const line = $("state"), source = state.hello?.source ?? "";
  line.dataset.state = name;
  line.lastElementChild.textContent = name === "running" ? source || WORDS.live
    : name === "lost" ? WORDS.states.lost : WORDS.stateOf(source, WORDS.states[name]);
  line.title = reason;
  $("facts").hidden = name === "lost";
  $("retry").hidden = !["lost", "waiting"].includes(name);
  markGone(!UP_TO_DATE.includes(name) || (state.hello?.browser && !state.camera && stats.shown !== null));
  if (name === "opening") return;
  const sentence = state.cameraError || reason;
  if (sentence) notice(sentence);
  else hideNotice();
}

/** Marks the page if no pictures come, because what it shows is then out of date. */
export function markGone(is) {
  document.body.classList.toggle("gone", Boolean(is));
  if (is && state.held === null) $("age").textContent = WORDS.noPictures;
}

/** Shows what is measured; `dropped` counts the pictures of this browser's camera that were not sent. */
export function showFacts(dropped) {
  const { fps, skipped, used, viewers, size, state: source } = state.status, isRunning = UP_TO_DATE.includes(source);
  $("shared").hidden = viewers < 2;
  $("shared").textContent = WORDS.shared(viewers);
  const since = clock.now() - 1000 * RATE_S, isEarly = (times) => !(times[0] < since);
  const count = (times) => times.filter((time) => time > since).length / RATE_S;
  const shown = state.held !== null || isEarly(stats.pictures) ? fps : count(stats.pictures);
  const isThinned = dropped > droppedBefore;
  droppedBefore = dropped;
  const parts = [
    state.hello?.model.title,
    size && `${size[0]}×${size[1]}`,
    isRunning && WORDS.rate(fps) + (shown < 0.9 * fps - 0.5 ? WORDS.rateHere(shown) : ""),
    isRunning && !isEarly(stats.updates) && WORDS.evidenceRate(count(stats.updates)),
    isThinned && WORDS.slow,
    used !== null && WORDS.processor(used),
    viewers > 1 && WORDS.viewers(viewers),
  ];
  $("facts").textContent = parts.filter(Boolean).join(" · ");
  $("facts").title = WORDS.factsTitle(RATE_S, skipped);
}
