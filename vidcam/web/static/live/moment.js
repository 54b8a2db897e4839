// Which moment is on the screen: the newest one, the newest one whose evidence is known ("in step"), or one of the last minute.

import { showAnswer } from "./answer.js";
import { clock } from "./clock.js";
import { clamp } from "./common.js";
import { makeDecoder } from "./decoder.js";
import { $ } from "./elements.js";
import { jump, put, redraw, rest } from "./screen.js";
import { state } from "./state.js";
import { stats, tally } from "./stats.js";
import { filmIfRecording } from "./studio.js";
import { Timeline } from "./timeline.js";
import { WORDS } from "./words.js";

const STALE_S = 0.5; // older evidence is marked
const SAME_S = 0.05; // a picture and evidence that are nearer are of the same moment
const decode = makeDecoder();
const timeline = new Timeline($("timeline"), $("lines"), (time) => hold(time));

const newestTime = () => state.memory.evidence.at(-1)?.time ?? -Infinity;

// --- live

/** Takes new evidence. */
export function takeEvidence(news) {
  if (state.held !== null) return;
  if (state.isInStep && state.target) advance();
  else setTarget(news);
}

/** Shows a picture that has come from the server, now or when its evidence has come. */
export async function showPicture(time, blob) {
  if (state.held !== null) return;
  const image = await decode(blob);
  if (image === null) return;
  if (state.held === null && state.isInStep) {
    keepPicture(time, image);
    return;
  }
  if (state.held === null) {
    put(image);
    notePicture(time);
  }
  image.close();
}

/** Keeps a picture until its evidence has come; closes it if nothing waits any more. */
export function keepPicture(time, image) {
  if (!state.isInStep || state.held !== null) {
    image.close();
    return;
  }
  state.delay.add(time, image);
  advance();
}

/** Shows the picture whose evidence has come, and the evidence nearest to it. */
function advance() {
  const picture = state.delay.next(newestTime());
  if (!picture || state.held !== null) return;
  put(picture.image);
  const news = state.memory.nearest(picture.time);
  if (news && news !== state.target) setTarget(news);
  notePicture(picture.time);
}

function setTarget(news) {
  state.target = news;
  showAnswer(news);
}

/** Notes that a new picture, of this time, is on the screen. */
export function notePicture(time) {
  state.shownTime = stats.shown = time;
  tally(stats.pictures, clock.now());
  if (state.target) {
    const age = time - state.target.time;
    tally(stats.ages, age);
    showAge(state.isInStep ? WORDS.inStep(state.delay.delay) : WORDS.age(Math.max(0, age)), !state.isInStep && age > STALE_S);
  }
  filmIfRecording();
}

function showAge(words, isLate = false) {
  $("age").textContent = words;
  $("age").classList.toggle("late", isLate);
}

/** Has pictures wait for their evidence, or shows them at once. */
export function setInStep(on) {
  state.isInStep = on;
  $("step").checked = on;
  state.delay.clear();
  if (state.camera && state.held === null) $("picture").hidden = !on;
  if (!on) state.target = state.memory.evidence.at(-1) ?? state.target;
}

// --- paused

/** Pauses at a time of the last minute, or as near to it as there are pictures. */
export async function hold(time) {
  const { memory } = state;
  if (!memory.pictures.length) return;
  if (state.held === null) drawTimeline(); // "ago" counts from its end
  const wanted = state.held = clamp(time, memory.first, memory.last);
  document.body.classList.add("paused");
  $("pause").lastElementChild.textContent = WORDS.goOn;
  const { picture, news } = memory.at(wanted), image = await createImageBitmap(picture.blob);
  if (state.held === wanted) {
    $("picture").hidden = false;
    $("camera").hidden = true;
    put(image);
    if (news) {
      showAnswer(news);
      jump(news);
    }
    const back = timeline.span[1] - wanted, apart = news ? news.time - picture.time : NaN;
    stats.held = { time: wanted, picture: picture.time, back };
    $("held").hidden = false;
    $("held").textContent = WORDS.paused(back);
    showAge(!news ? "" : Math.abs(apart) < SAME_S ? WORDS.sameMoment : WORDS.otherMoment(apart));
    drawTimeline();
  }
  image.close();
}

/** Shows what is live again. */
export function goOn() {
  state.held = stats.held = null;
  document.body.classList.remove("paused");
  $("pause").lastElementChild.textContent = WORDS.pause;
  $("held").hidden = true;
  rest();
  state.target = state.memory.evidence.at(-1) ?? state.target;
  if (state.target) showAnswer(state.target);
  if (state.camera) {
    $("picture").hidden = !state.isInStep;
    $("camera").hidden = false;
  }
  state.delay.clear();
}

/** Pauses, or goes on. */
export function togglePause() {
  if (state.held === null) hold(Number.isFinite(state.shownTime) ? state.shownTime : state.memory.last);
  else goOn();
}

/** Pauses one picture further, or one second; `direction` is 1 or -1. */
export function step(direction, bySecond) {
  const from = state.held ?? state.memory.last;
  hold(bySecond ? from + direction : state.memory.step(from, direction));
}

/** Pauses at the beginning of an event, and returns true, if its pictures are kept. */
export function holdEvent(event) {
  const { memory } = state, isKept = memory.pictures.length > 0 && event.start_s >= memory.pictures[0].time && event.start_s <= memory.last;
  if (isKept) hold(event.start_s);
  return isKept;
}

// --- the last minute

/** Draws the last minute. */
export function drawTimeline() {
  const { held, memory, shownTime, target } = state;
  const now = held === null ? Math.max(memory.last, Number.isFinite(shownTime) ? shownTime : -Infinity) : timeline.span[1];
  timeline.draw(memory, { now, held, label: (held === null ? target : memory.at(held).news)?.label });
  $("timeline").setAttribute("aria-valuenow", held === null ? 0 : (held - now).toFixed(1));
}

addEventListener("resize", () => {
  redraw();
  drawTimeline();
});
