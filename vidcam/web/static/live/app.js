// The page of one source: what the server sends goes to the parts of the page, and what the user does goes to the server.

import { clearAnswer } from "./answer.js";
import { clock } from "./clock.js";
import { $ } from "./elements.js";
import { showEvent, showIfAsked } from "./event_dialog.js";
import { EventList } from "./events.js";
import { showFacts, showState } from "./header.js";
import { toggleFullScreen } from "./keys.js";
import { Link, toShares } from "./link.js";
import { drawRamp } from "./look.js";
import { Memory } from "./memory.js";
import { connectMenus, fillMenus, followModels, followSettings } from "./menus.js";
import { drawTimeline, goOn, holdEvent, showPicture, takeEvidence, togglePause } from "./moment.js";
import { noticeBriefly } from "./notice.js";
import { offerCamera } from "./offer.js";
import { Rules } from "./rules.js";
import { drawFrame, reset, resize } from "./screen.js";
import { state } from "./state.js";
import { stats, tally } from "./stats.js";
import { saveSnapshot, toggleRecording } from "./studio.js";
import { WORDS } from "./words.js";

const TIMELINE_MS = 100; // between two drawings of the last minute

const events = new EventList($("watch"), (event) => { if (!holdEvent(event)) showEvent(event); });
const rules = new Rules({ say: (message) => link.say(message), isMirrored: () => state.isMirrored });

const link = new Link({
  hello: greet,
  status(message) {
    state.status = message;
    showState(message.state, message.reason);
    if (message.size && !state.hello?.browser) resize(...message.size);
    followSettings(message.settings);
    showFacts(link.dropped);
  },
  evidence(news, bytes) {
    toShares(news, state.hello.levels);
    tally(stats.updates, clock.now());
    Object.assign(stats, { evidence: news.number, bytes });
    state.memory.addEvidence(news);
    takeEvidence(news);
  },
  history({ items }) { state.memory.addHistory(items); },
  picture(time, blob) {
    state.memory.addPicture(time, blob);
    stats.received += 1;
    showPicture(time, blob).finally(() => link.say({ type: "got" }));
  },
  event(event) {
    events.take(event);
    showIfAsked(event);
  },
  watch: (message) => rules.update(message),
  models: followModels,
  error({ message }) { if (!rules.refuse(message)) noticeBriefly(message); },
  lost() {
    rules.settle();
    showState("lost", WORDS.lost);
  },
}, clock, location.search);

/** Begins anew: the page keeps nothing of another model. */
function greet(hello) {
  const before = state.hello;
  if (before && before.model.name !== hello.model.name) noticeBriefly(WORDS.newModel(hello.model.name));
  Object.assign(state, { hello, memory: new Memory(hello.keep_s), target: null });
  state.delay.clear();
  reset();
  clearAnswer();
  events.clear();
  fillMenus();
  drawRamp();
  state.camera?.fit(hello);
  if (state.held !== null) goOn();
  $("notes").textContent = hello.notes.join(" ");
  if (hello.browser && !state.camera) offerCamera((time, blob) => link.show(time, blob));
}

async function nameSource() {
  const { sources } = await (await fetch("sources")).json();
  if (sources.length < 2) return;
  $("all").hidden = false;
  document.title = WORDS.title(new URLSearchParams(location.search).get("source"));
}

let timelineDue = 0;

function tick(now) {
  requestAnimationFrame(tick);
  drawFrame(now);
  if (now > timelineDue) {
    timelineDue = now + TIMELINE_MS;
    drawTimeline();
  }
}

connectMenus((message) => {
  rules.settle(); // a refusal that comes now is of this
  link.say(message);
});
$("retry").addEventListener("click", () => (link.ready ? link.say({ type: "retry" }) : link.retry()));
$("pause").addEventListener("click", togglePause);
$("snapshot").addEventListener("click", saveSnapshot);
$("record").addEventListener("click", toggleRecording);
$("full-screen").addEventListener("click", toggleFullScreen);
$("help").addEventListener("click", () => $("keys").showModal());
// A click does not leave the focus on a control, so that space pauses; the keyboard does.
addEventListener("click", (event) => { if (event.detail > 0) event.target.closest?.("button, input[type=checkbox]")?.blur(); });
$("pause").lastElementChild.textContent = WORDS.pause;
$("record").lastElementChild.textContent = WORDS.record;
$("state").lastElementChild.textContent = WORDS.connecting;
nameSource().catch(() => {}); // the page works without it
requestAnimationFrame(tick);
