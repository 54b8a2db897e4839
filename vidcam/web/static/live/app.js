// The live viewer: messages from the server, the picture with its heat, the keys and controls.

import { Camera } from "./camera.js";
import { clock } from "./clock.js";
import { clamp, make } from "./common.js";
import { Delay } from "./delay.js";
import { Link } from "./link.js";
import { Memory } from "./memory.js";
import { Heat } from "./player.js";
import { Recording, compose, snapshot } from "./studio.js";
import { Timeline } from "./timeline.js";
import { Watch } from "./watch.js";

const $ = (id) => document.getElementById(id);
const EASE_S = 0.05; // the heat glides to the newest map within about this time
const SETTLED = 0.002; // of the scale: the heat has come to rest if no cell is further away from the newest map
const STALE_S = 0.5;
const KEPT_WIDTH = 960; // pixels, of the camera's pictures that wait for their evidence
const RATE_S = 2; // the time over which the pictures shown per second are counted

const OPACITY = 0.62; // at first; there spotlight and contour have their full strength
const look = { style: "heat", opacity: OPACITY, signed: false };
let hello = null, models = null, heat = null, memory = new Memory(60), camera = null, recording = null, mirrored = false, status = null;
let size = [640, 480]; // of the picture, width and height
let shownTime = NaN; // the time of the picture on the screen
let held = null; // while paused, the time that is shown
let target = null, patches = []; // the newest evidence, and the maps that glide towards it
let lostCamera = ""; // what to say for as long as this browser's camera is lost
let inStep = false, delay = new Delay(); // pictures wait for their evidence
let dirty = true, chartDue = 0;
const composed = document.createElement("canvas");

// Statistics for tests and benchmarks: `drawn` is what the overlay shows and how often it was drawn, with `settled` once the heat has
// stopped gliding; `evidence` is the number of the newest update; `held` is the picture that is shown while paused; `received` is how many pictures have come from the server; `shown`
// is the time of the picture on the screen.
const stats = (window.vidcamStats = {
  pictures: [], updates: [], ages: [], bytes: 0, drawn: { times: 0 }, held: null, received: 0, shown: null,
});
const tally = (list, value) => { list.push(value); if (list.length > 6000) list.splice(0, 3000); };

// --- from the server

const link = new Link({
  hello(message) {
    if (hello && hello.model.name !== message.model.name) notice(`The model is now ${message.model.name}.`, 6000);
    hello = message;
    heat = null;
    memory = new Memory(message.keep_s);
    target = null;
    patches = [];
    dirty = true;
    $("answer").textContent = "\u00a0";
    $("top").replaceChildren();
    delay.clear();
    watch.clear();
    fillMenus();
    ramp();
    camera?.fit(message);
    if (held !== null) goOn(); // the page keeps nothing of another model
    $("notes").textContent = message.notes.join(" ");
    if (message.browser && !camera) offerCamera();
  },
  status(message) {
    status = message;
    watch.isAsking = false; // an answer to what was asked comes before it
    state(message.state, message.reason);
    if (message.size && !hello?.browser) resize(...message.size);
    const { settings } = message;
    for (const key of ["class", "versus"]) setIfIdle($(key), settings[key] ?? NONE[key]);
    setIfIdle($("method"), settings.method);
    setIfIdle($("smooth"), settings.smooth_s);
    outputs();
    facts();
  },
  evidence(news, bytes) {
    for (const patch of news.patches) patch.values = Float32Array.from(patch.values, (v) => v / hello.levels);
    tally(stats.updates, clock.now());
    memory.addEvidence(news);
    stats.evidence = news.number;
    stats.bytes = bytes;
    if (held !== null) return;
    if (inStep && target) return advance();
    target = news;
    words(news);
  },
  history({ items }) {
    memory.evidence = items.filter((news) => news.time < (memory.evidence[0]?.time ?? Infinity)).concat(memory.evidence);
  },
  picture(time, blob) {
    memory.addPicture(time, blob);
    stats.received += 1;
    show(time, blob).finally(() => link.say({ type: "got" }));
  },
  event(event) { watch.take(event); },
  watch(message) { watch.update(message); },
  models(message) {
    models = message;
    const { current, choices, loading, failed } = message, field = $("model");
    $("model-row").hidden = false;
    $("model-names").replaceChildren(...choices.map(([name, title]) => new Option(title, name)));
    field.disabled = loading !== null;
    if (document.activeElement !== field) field.value = loading ?? current;
    $("model-note").textContent = loading ? `Loading ${loading}; ${current} goes on until it is ready.` : failed;
  },
  error({ message }) { if (!watch.refuse(message)) notice(message, 6000); },
  lost() { state("lost", "The connection to vidcam is lost. Trying again every two seconds."); },
}, clock, location.search);

async function show(time, blob) {
  if (held !== null) return;
  const image = await createImageBitmap(blob);
  if (held === null && inStep) {
    delay.add(time, image);
    return advance();
  }
  if (held === null) {
    put(image);
    shownTime = time;
    tally(stats.pictures, clock.now());
    displayed();
  }
  image.close();
}

/** Shows the picture whose evidence has come, and the evidence nearest to it. */
function advance() {
  const picture = delay.next(memory.evidence.at(-1)?.time ?? -Infinity);
  if (!picture || held !== null) return;
  put(picture.image);
  shownTime = picture.time;
  tally(stats.pictures, clock.now());
  const news = memory.nearest(picture.time);
  if (news && news !== target) {
    target = news;
    words(news);
  }
  displayed();
}

function setInStep(on) {
  inStep = on;
  $("step").checked = on;
  delay.clear();
  if (camera && held === null) $("picture").hidden = !on;
  if (!on) target = memory.evidence.at(-1) ?? target;
}

function put(image) {
  const canvas = $("picture");
  if (canvas.width !== image.width || canvas.height !== image.height) [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d", { alpha: false }).drawImage(image, 0, 0);
  if (!hello?.browser && !status?.size) resize(image.width, image.height);
}

/** Notes that a new picture is on the screen. */
function displayed() {
  stats.shown = shownTime;
  if (target) {
    const age = shownTime - target.time;
    tally(stats.ages, age);
    $("age").textContent = inStep ? `in step, ${delay.delay.toFixed(2)} s late` : `evidence ${Math.max(0, age).toFixed(2)} s old`;
    $("age").classList.toggle("late", !inStep && age > STALE_S);
  }
  if (recording) film();
}

// --- the camera of this browser

/** Keeps the camera's present picture until its evidence has come. */
async function keep(time) {
  const video = $("camera"), image = await createImageBitmap(video, { resizeWidth: Math.min(video.videoWidth, KEPT_WIDTH), resizeQuality: "medium" });
  if (!inStep || held !== null) image.close();
  else {
    delay.add(time, image);
    advance();
  }
}

function offerCamera() {
  const button = $("start");
  button.hidden = false;
  button.onclick = async () => {
    button.hidden = true;
    camera = new Camera($("camera"), hello, {
      sent(time, blob) {
        memory.addPicture(time, blob);
        link.show(time, blob);
      },
      shown(time) {
        if (held !== null) return;
        resize($("camera").videoWidth, $("camera").videoHeight);
        if (inStep) {
          keep(time);
          return;
        }
        shownTime = time;
        tally(stats.pictures, clock.now());
        displayed();
      },
      ended() {
        camera = null;
        gone(true);
        button.textContent = "Use my camera again";
        button.hidden = false;
        lostCamera = "The camera stopped sending pictures: was it unplugged, or taken by another program?";
        notice(lostCamera);
      },
    });
    try {
      await camera.start();
      gone(false);
      lostCamera = "";
      notice("");
      $("picture").hidden = !inStep;
      mirror(true);
    } catch (error) {
      camera = null;
      button.hidden = false;
      notice(error.message, 12000);
    }
  };
  navigator.permissions?.query({ name: "camera" }).then((found) => { if (found.state === "granted") button.click(); }, () => {});
}

// --- other sources

fetch("sources").then((answer) => answer.json()).then(({ sources }) => {
  $("all").hidden = sources.length < 2;
  document.title = sources.length < 2 ? document.title : `${new URLSearchParams(location.search).get("source")} · vidcam live`;
}, () => {});

// --- the screen

/** Returns the size of the picture that the server saw, in whose pixels the evidence is; it may be smaller than the one shown. */
function seenSize() { return status?.size ?? size; }

function resize(width, height) {
  if (!width || (size[0] === width && size[1] === height && $("frame").style.length)) return;
  size = [width, height];
  for (const box of [$("frame"), $("stage")]) {
    box.style.setProperty("--aspect", `${width} / ${height}`);
    box.style.setProperty("--ratio", width / height);
  }
  dirty = true;
}

function tick(now) {
  requestAnimationFrame(tick);
  if (held === null && target) glide(now);
  if (dirty && hello) {
    dirty = false;
    const canvas = $("overlay"), ratio = Math.min(1.5, devicePixelRatio || 1);
    const w = Math.max(1, Math.round(canvas.clientWidth * ratio)), h = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    drawer().draw(canvas, patches, { ...look, signed: look.signed && look.style !== "spotlight", threshold: 0, strength: Math.min(1, look.opacity / OPACITY) });
    const { from = null, settled = true } = patches;
    stats.drawn = { ...look, evidence: from?.number ?? null, time: from?.time ?? null, settled, times: stats.drawn.times + 1 };
  }
  if (now > chartDue) {
    chartDue = now + 100;
    chart();
  }
}

/** Returns what draws over pictures of the present size. */
function drawer() {
  const [width, height] = seenSize();
  if (!heat || heat.size[0] !== height || heat.size[1] !== width) heat = new Heat(hello.drawing, [height, width]);
  return heat;
}

let glided = 0;

/** Moves the maps part of the way to the newest ones, so that the heat glides instead of jumping. */
function glide(now) {
  const part = inStep ? 1 : 1 - Math.exp(-Math.min(0.2, (now - glided) / 1000) / EASE_S);
  glided = now;
  if (patches.from !== target || !patches.settled) {
    const same = patches.length === target.patches.length
      && patches.every((p, i) => p.label === target.label && p.values.length === target.patches[i].values.length);
    const before = patches;
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
    dirty = true;
  }
}

function words(news) {
  $("answer").textContent = news.top[0][0];
  const list = $("top");
  while (list.children.length < news.top.length) {
    const item = make("li"), bar = make("i");
    bar.append(make("b"));
    item.append(make("span"), make("span", "num"), bar);
    list.append(item);
  }
  while (list.children.length > news.top.length) list.lastChild.remove();
  news.top.forEach(([label, prob], i) => {
    const item = list.children[i], [name, share, bar] = item.children;
    if (name.textContent !== label) name.textContent = name.title = label;
    share.textContent = prob > 0 && prob < 0.005 ? "<1%" : `${Math.round(100 * prob)}%`;
    bar.firstChild.style.transform = `scaleX(${prob})`;
    item.classList.toggle("shown", label === news.label);
  });
  $("full").textContent = news.scale.toPrecision(2);
  const versus = status?.settings.versus;
  $("what").textContent = `Evidence for ${news.label}${versus ? ` rather than ${versus}` : ""}, on one running scale.`;
}

function facts() {
  const { fps, skipped, used, viewers, size: at } = status;
  $("shared").hidden = viewers < 2;
  $("shared").textContent = `${viewers} viewers watch this. What you choose here changes it for all of them, except style, opacity and mirroring.`;
  const since = clock.now() - 1000 * RATE_S, early = (times) => !(times[0] < since);
  const count = (times) => times.filter((time) => time > since).length / RATE_S;
  const seen = held !== null || early(stats.pictures) ? fps : count(stats.pictures);
  const thinned = link.dropped > droppedBefore;
  droppedBefore = link.dropped;
  const parts = [
    hello?.model.title,
    at && `${at[0]}×${at[1]}`,
    `${fps.toFixed(0)} pictures/s` + (seen < 0.9 * fps - 0.5 ? `, ${seen.toFixed(0)} shown here` : ""),
    !early(stats.updates) && `evidence ${count(stats.updates).toFixed(1)} times/s`,
    thinned && "slow connection: some pictures are not sent",
    used !== null && `processor ${Math.round(100 * used)}%`,
    viewers > 1 && `${viewers} viewers`,
  ];
  $("facts").textContent = parts.filter(Boolean).join(" · ");
  $("facts").title = `Measured over the last ${RATE_S} seconds. ${skipped} clips were left out for newer ones since the start. The processor is that of the machine that runs vidcam. The field Model chooses another model.`;
}

let droppedBefore = 0;

function state(name, reason) {
  const line = $("state");
  line.dataset.state = name;
  line.lastElementChild.textContent = { running: hello?.source ?? "live", lost: "no connection" }[name] ?? `${hello?.source ?? ""}: ${name}`;
  line.title = reason;
  $("retry").hidden = !["lost", "waiting"].includes(name);
  gone(!["opening", "running", "frozen"].includes(name) || (hello?.browser && !camera && stats.shown !== null));
  if (name === "opening") return;
  if (lostCamera || reason) notice(lostCamera || reason);
  else if (!noticeTimer) notice("");
}

/** Marks the page if no pictures come, because what it shows is then out of date. */
function gone(is) {
  document.body.classList.toggle("gone", Boolean(is));
  if (is && held === null) $("age").textContent = "no pictures at present";
}

let noticeTimer = 0;

function notice(sentence, forMs = 0) {
  clock.forget(noticeTimer);
  noticeTimer = 0;
  $("notice").hidden = !sentence;
  $("notice").firstElementChild.textContent = sentence;
  if (forMs) noticeTimer = clock.later(() => { noticeTimer = 0; notice(""); }, forMs);
}

let line = null;

function chart() {
  line ??= new Timeline($("timeline"), $("lines"), (time) => hold(time));
  const now = held === null ? Math.max(memory.last, Number.isFinite(shownTime) ? shownTime : -Infinity) : line.span[1];
  line.draw(memory, { now, held, label: (held === null ? target : memory.at(held).news)?.label });
  $("timeline").setAttribute("aria-valuenow", held === null ? 0 : (held - now).toFixed(1));
}

// --- pause and look back

async function hold(time) {
  if (!memory.pictures.length) return;
  if (held === null) chart(); // "ago" counts from its end
  held = clamp(time, memory.first, memory.last);
  document.body.classList.add("paused");
  $("pause").lastElementChild.textContent = "Live";
  const wanted = held, { picture, news } = memory.at(held);
  const image = await createImageBitmap(picture.blob);
  if (held === wanted) {
    $("picture").hidden = false;
    $("camera").hidden = true;
    put(image);
    if (news) {
      words(news);
      patches = news.patches;
      dirty = true;
    }
    const back = line.span[1] - held;
    $("held").hidden = false;
    stats.held = { time: held, picture: picture.time, back };
    $("held").textContent = `paused · ${back.toFixed(1)} s ago`;
    const apart = news ? news.time - picture.time : NaN;
    $("age").textContent = !news ? "" : Math.abs(apart) < 0.05 ? "evidence of this moment"
      : `evidence of ${Math.abs(apart).toFixed(2)} s ${apart > 0 ? "later" : "earlier"}`;
    $("age").classList.remove("late");
    chart();
  }
  image.close();
}

function goOn() {
  held = stats.held = null;
  document.body.classList.remove("paused");
  $("pause").lastElementChild.textContent = "Pause";
  $("held").hidden = true;
  patches = [];
  target = memory.evidence.at(-1) ?? target;
  if (target) words(target);
  if (camera) {
    $("picture").hidden = !inStep;
    $("camera").hidden = false;
  }
  delay.clear();
  dirty = true;
}

const toggle = () => (held === null ? hold(Number.isFinite(shownTime) ? shownTime : memory.last) : goOn());

const watch = new Watch({
  say: (message) => link.say(message),
  isMirrored: () => mirrored,
  show(event) {
    const at = event.start_s, isKept = memory.pictures.length > 0 && at >= memory.pictures[0].time && at <= memory.last;
    if (isKept) hold(at);
    return isKept;
  },
});

// --- snapshot, recording

function film(to = composed) {
  const live = camera && held === null && !inStep, source = live ? $("camera") : $("picture");
  const news = held === null ? target : memory.at(held).news;
  const [width, height] = live ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
  const method = status?.settings.method ?? "";
  compose(to, {
    source, width: width - (width % 2), height: height - (height % 2), mirrored, paint: $("overlay"),
    title: news ? `${news.top[0][0]} ${Math.round(100 * news.top[0][1])}%` : "",
    facts: news ? `${news.label === news.top[0][0] ? "" : `evidence for ${news.label} · `}${hello.model.name}, ${method} · ${new Date().toLocaleTimeString()}` : "",
  });
}

function shoot() {
  if (!camera && !Number.isFinite(shownTime)) return; // nothing is shown yet
  const canvas = document.createElement("canvas");
  film(canvas);
  snapshot(canvas);
}

function record() {
  if (recording) {
    recording.stop();
    recording = null;
  } else {
    try {
      film();
      recording = new Recording(composed);
    } catch (error) {
      notice(error.message, 6000);
    }
  }
  $("record").classList.toggle("on", recording !== null);
  $("record").lastElementChild.textContent = recording ? "Stop" : "Record";
}

// --- controls

function option(value, text, why) {
  const item = new Option(text, value);
  item.disabled = Boolean(why);
  if (why) item.title = item.label = `${text} — ${why}`;
  return item;
}

function fillMenus() {
  $("method").replaceChildren(...hello.methods.map((m) => option(m.name, m.name, m.why)));
  hello.methods.forEach((m, i) => { if (!m.why) $("method").options[i].title = `${m.title}; ${m.cost}`; });
  for (const [id, none] of Object.entries(NONE)) {
    $(`${id}-names`).replaceChildren(...[none, ...hello.labels].map((label) => new Option(label, label)));
    $(id).value ||= none;
  }
}

const NONE = { class: "the answer", versus: "anything else" };

/**
 * Makes a field whose list shows all of `names()` when one begins to type, and which takes nothing but one of them;
 * `take(name)` gets it, and `refusal(words)` says what is wrong with anything else.
 */
function makeChooser(field, { names, take, refusal }) {
  let before = "";
  field.addEventListener("focus", () => {
    before = field.placeholder = field.value;
    field.value = "";
  });
  field.addEventListener("blur", () => { if (!field.value) field.value = before; });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") field.blur(); });
  field.addEventListener("change", () => {
    const words = field.value.trim().toLowerCase(), found = names().find((name) => name.toLowerCase() === words);
    if (!words) return;
    if (found === undefined) notice(refusal(field.value), 6000);
    field.value = found ?? before;
    if (found !== undefined) take(found);
    field.blur();
  });
}

let chosen = -Infinity; // when the user last chose something; status messages from shortly after may still be out of date

function setIfIdle(control, value) {
  if (clock.now() - chosen > 1500 && document.activeElement !== control) control.value = value;
}

function choose() {
  chosen = clock.now();
  outputs();
  link.say({
    type: "choose", method: $("method").value, class: chosenLabel("class"), versus: chosenLabel("versus"),
    smooth_s: Number($("smooth").value),
  });
}

const chosenLabel = (id) => ($(id).value === NONE[id] ? null : $(id).value);

function outputs() {
  document.querySelector("output[for=opacity]").textContent = `${Math.round(100 * look.opacity)}%`;
  document.querySelector("output[for=smooth]").textContent = `${Number($("smooth").value).toFixed(2)} s`;
}

function setStyle(style) {
  look.style = style;
  for (const button of $("style").children) button.setAttribute("aria-checked", String(button.dataset.style === style));
  dirty = true;
}

function setOpacity(value) {
  look.opacity = Math.min(1, Math.max(0, value));
  $("opacity").value = look.opacity;
  outputs();
  dirty = true;
}

function mirror(on) {
  mirrored = on;
  $("frame").classList.toggle("mirrored", on);
  $("mirror").setAttribute("aria-pressed", String(on));
}

function ramp() {
  const { tables } = drawer(), table = look.signed ? tables.signed : tables.plain, canvas = $("ramp");
  const c = canvas.getContext("2d"), image = c.createImageData(256, 1);
  for (let i = 0; i < 256; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = table[3 * i + k];
    const v = look.signed ? Math.abs(i - 128) / 127 : i / 255;
    image.data[4 * i + 3] = 255 * Math.min(1, Math.sin((Math.PI / 2) * v));
  }
  c.putImageData(image, 0, 0);
  document.querySelector(".ramp span").textContent = look.signed ? "−" : "0";
}

$("method").addEventListener("change", (event) => { choose(); event.target.blur(); });
for (const id of Object.keys(NONE)) {
  makeChooser($(id), { names: () => [NONE[id], ...hello.labels], take: choose, refusal: (words) => `This model knows no class "${words}".` });
}
makeChooser($("model"), {
  names: () => models.choices.map(([name]) => name),
  take: (name) => link.say({ type: "model", name }),
  refusal: (words) => `There is no model "${words}" on this machine. The list of the field has all that can be used here.`,
});
$("retry").addEventListener("click", () => (link.ready ? link.say({ type: "retry" }) : link.retry()));
$("step").addEventListener("change", (event) => setInStep(event.target.checked));
$("smooth").addEventListener("input", outputs);
$("smooth").addEventListener("change", choose);
$("opacity").addEventListener("input", (event) => setOpacity(Number(event.target.value)));
$("signed").addEventListener("change", (event) => { look.signed = event.target.checked; ramp(); dirty = true; });
$("style").addEventListener("click", (event) => { if (event.target.dataset.style) setStyle(event.target.dataset.style); });
$("pause").addEventListener("click", toggle);
$("snapshot").addEventListener("click", shoot);
$("record").addEventListener("click", record);
$("mirror").addEventListener("click", () => mirror(!mirrored));
$("full-screen").addEventListener("click", fullScreen);
$("help").addEventListener("click", () => $("keys").showModal());
// A click does not leave the focus on a control, so that space pauses; the keyboard does.
addEventListener("click", (event) => { if (event.detail > 0) event.target.closest?.("button, input[type=checkbox]")?.blur(); });
addEventListener("resize", () => { dirty = true; chart(); });

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("stage").requestFullscreen?.();
}

function step(event, direction) {
  const from = held ?? memory.last;
  hold(event.shiftKey ? from + direction : memory.step(from, direction));
}

const KEYS = {
  " ": toggle, s: shoot, r: record, f: fullScreen, m: () => mirror(!mirrored), "?": () => $("keys").showModal(),
  1: () => setStyle("heat"), 2: () => setStyle("contour"), 3: () => setStyle("spotlight"),
  "+": () => setOpacity(look.opacity + 0.08), "=": () => setOpacity(look.opacity + 0.08), "-": () => setOpacity(look.opacity - 0.08),
  i: () => setInStep(!inStep), ArrowLeft: (event) => step(event, -1), ArrowRight: (event) => step(event, 1), h: () => $("frame").classList.add("bare"),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open || $("event").open || event.target.matches("input[type=text], input[type=number]")) return;
  const typing = event.target.matches("select, input[type=range]") && event.key.startsWith("Arrow");
  const pressing = event.target.matches("button, input[type=checkbox], select") && event.key === " ";
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || typing || pressing) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) action(event);
});
addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "h") $("frame").classList.remove("bare"); });

outputs();
requestAnimationFrame(tick);
