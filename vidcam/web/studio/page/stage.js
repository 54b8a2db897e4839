// The stage: bring a video, read the answer, and play the video with its evidence.
const root = element.firstElementChild, W = WORDS.stage;

// --- the parts

const head = make("div", "say"), line = make("p", "eyebrow"), words = make("h2", "sentence"), top = make("div", "top");
const screen = make("div", "screen"), video = make("video"), lost = make("p", "lost"), holder = make("div", "holder");
Object.assign(video, { controls: true, loop: true, muted: true, playsInline: true, preload: "auto" });
const reply = make("p", "reply"), drop = make("div", "drop"), notice = make("p", "notice");
notice.setAttribute("role", "alert");
const other = button("quiet", W.another, () => state("empty"));
top.append(line, other);
head.append(top, words, reply);
reply.setAttribute("role", "status");
screen.append(video, lost);
root.append(head, drop, notice, screen, holder);

const example = make("div", "showcase"); // plays while there is nothing else
let shown = null;
let known = null, players = [], origin = null; // the number of the result whose players are shown, and the video if there is one player

function state(name) {
  root.dataset.state = name;
  if (name !== "empty") shown?.video.pause();
  if (name !== "empty") return;
  video.pause();
  for (const player of players) player.video.pause();
  back.hidden = !props.input;
}

// --- bringing a video

const chooser = makeChooser(W.file, files => { if (files.length) sendAll(files); });
const big = make("p", "big", W.drop), limits = make("p", "soft"), choose = button("go", W.choose, () => chooser.click());
const camera = button("", W.record, () => record()), shelf = make("div", "shelf"), shelfTitle = make("p", "soft", W.examples);
const back = button("quiet", W.back, () => update());
const pair = make("div", "pair"), sending = makeSending();
pair.append(choose, camera, back);
const target = make("div", "target");
target.append(big, pair, limits, sending, chooser);
const first = make("div", "first");
first.append(target, example);
drop.append(first, shelfTitle, shelf);

/** Says what was refused, beside what was pressed. */
function say(text) {
  if (root.dataset.state === "empty") pair.after(notice); else drop.after(notice);
  notice.textContent = text;
  if (text) notice.scrollIntoView({ block: "nearest" });
}

/** Sends the videos one after another; several are then explained in turn. */
async function sendAll(files) {
  const sent = [];
  for (const file of files) if (await send(file, file.name, files.length > 1)) sent.push(file);
  if (sent.length) trigger(files.length > 1 ? "apply" : "upload");
}

const send = async (blob, name, several = false) => {
  const taken = await sendVideo(blob, name, several ? "&several" : "", { say, sending });
  chooser.value = "";
  return taken;
};

takeDrops(root, files => sendAll([...files]), over => target.classList.toggle("over", over));

const record = () => recordVideo({ place: drop, say, use: file => sendAll([file]), opened: () => { target.hidden = true; }, closed: () => { target.hidden = false; } });

function open() {
  const { examples = [], words: most = "", secret } = props.value ?? {};
  if (secret) try { sessionStorage.setItem("vidcam", secret); } catch { /* the browser forbids it: then a reload begins anew */ }
  limits.textContent = most && W.limits(most);
  shelf.replaceChildren(...examples.map(example => {
    const b = button("example", "", () => { say(""); trigger("select", { name: example.name }); });
    b.append(image(example.poster), make("b", "", example.name.replace(/\.\w+$/, "").replaceAll("_", " ")), make("small", "num", example.facts.split(" · ")[0]));
    b.title = `${example.name}, ${example.facts}`;
    return b;
  }));
  shelfTitle.hidden = !examples.length;
}

// --- the player

video.addEventListener("error", () => { video.controls = false; lost.textContent = W.cannotPlay; });

function preview(url, poster) {
  lost.textContent = "";
  video.controls = true;
  if (video.getAttribute("src") !== url) Object.assign(video, { src: url, poster });
}

function close() {
  known = null;
  for (const { video: shown } of players.splice(0)) { shown.pause(); shown.removeAttribute("src"); shown.load(); }
  delete root.dataset.player;
  holder.replaceChildren();
}

/** Makes a player, which opens at the second `time` if its part of the video has that. */
async function makePlayer({ base, title }, box, time) {
  const { createPlayer } = await import(new URL("player/player.js", document.baseURI).href);
  const data = await (await fetch(`${base}player.json`)).json();
  if (!box.isConnected) return null; // there is another result by now
  data.video.src = base + data.video.src;
  if (time >= data.chart.t0 && time < data.chart.t1) data.opens_s = time + 0.001; // a time that is rounded down would show the frame before
  const inner = make("div"), part = async name => new Uint8Array(await (await fetch(`${base}part-${name}`)).arrayBuffer());
  inner.tabIndex = -1;
  if (title) box.append(make("h3", "", title));
  box.append(inner);
  return createPlayer(inner, data, part, { hash: false, keys: false });
}

/** Has a player follow another one: what is done with one is done with both. */
function follow(one, two) {
  one.video.addEventListener("play", () => two.video.play().catch(() => {})); // a pause may come first
  one.video.addEventListener("pause", () => two.video.pause());
  one.video.addEventListener("ratechange", () => { two.video.playbackRate = one.video.playbackRate; });
  for (const kind of ["seeking", "timeupdate"]) one.video.addEventListener(kind, () => {
    if (led === two || Math.abs(one.state.time - two.state.time) < (kind === "seeking" ? 0.02 : 0.15)) return;
    led = one;
    two.seek(one.state.time);
  });
  two.video.addEventListener("seeked", () => { if (led === one) led = null; });
}
let led = null; // the player that the other one is going to

async function play({ number, players: wanted }) {
  const look = players[0]?.lookNow(); // stays as it was set
  const { time, poster } = wanted.length === 1 && origin === props.input.url && players[0]?.state || {}; // so does the frame of the same video
  origin = wanted.length === 1 ? props.input.url : null;
  close();
  known = number;
  const boxes = wanted.map(() => make("div")), row = make("div", wanted.length > 1 ? "players two" : "players");
  row.append(...boxes);
  holder.replaceChildren(row);
  const made = await Promise.all(wanted.map((one, n) => makePlayer(one, boxes[n], time)));
  if (known !== number || made.includes(null)) return;
  players = made;
  if (made.length === 1) made[0].video.poster = props.input.poster ?? ""; // until its own picture is there
  await Promise.all(made.map(player => player.ready));
  if (known !== number) return;
  if (look) for (const player of made) player.look(look);
  if (poster === false) made[0].state.poster = false; // it plays on from there
  reply.textContent = "";
  root.classList.toggle("two", made.length > 1);
  if (made.length === 1) holder.append(made[0].strip);
  else { made[1].seek(made[0].state.time); follow(made[0], made[1]); follow(made[1], made[0]); }
  root.dataset.player = number;
  if (root.getBoundingClientRect().top < -40) root.scrollIntoView();
}

for (const kind of ["keydown", "keyup"]) document.addEventListener(kind, event => { // the player's keys are the whole tab's
  const box = holder.querySelector(".vp"), busy = event.target.closest?.("input, select, textarea, button, a, [role], [contenteditable], dialog");
  if (!box || busy || !box.checkVisibility() || event.ctrlKey || event.metaKey) return;
  const copy = new KeyboardEvent(kind, { key: event.key, shiftKey: event.shiftKey, altKey: event.altKey, repeat: event.repeat, cancelable: true });
  if (!box.dispatchEvent(copy)) event.preventDefault();
});

// --- what if this is hidden?

const AROUND = 0.12; // of the picture on each side of a marked place
const frameBox = make("i", "box"), ask = button("quiet ask", W.hide, () => arm(!root.classList.contains("drawing")));
const marked = Object.assign(button("quiet marked", "", () => hideMarked()), { hidden: true }); // for the keyboard, which drags nothing
const part = Object.assign(button("quiet marked", W.explainLoop, () => explainLoop()), { hidden: true });
ask.title = W.hideTitle;
other.before(marked, part, ask);
let asked = 0, from = null;

/** Begins to draw what is to be hidden, or ends it; what was asked about before is gone. */
function arm(on) {
  frameBox.remove();
  root.classList.toggle("drawing", on);
  const { place, loop } = players[0].state;
  marked.textContent = place?.pinned ? W.hideMarked : W.hideLoop;
  marked.hidden = !on || !(place?.pinned || loop);
  part.hidden = !on || !loop;
  ask.setAttribute("aria-pressed", on);
  reply.textContent = on ? W.draw : "";
}

function hideMarked() {
  const { place, loop } = players[0].state, [height, width] = players[0].heat.frameSize;
  if (place?.pinned) hide({ box: [place.y / height - AROUND, place.x / width - AROUND, place.y / height + AROUND, place.x / width + AROUND] });
  else if (loop) hide({ stretch: loop });
}

function explainLoop() {
  const [start, end] = players[0].state.loop;
  arm(false);
  trigger("edit", { start, end });
}

/** Asks the model without a part, which stays framed. */
function hide(part) {
  arm(false);
  if (part.box) part.box = part.box.map(share => clamp(share, 0, 1));
  if (part.box) frame(holder.querySelector(".vp-main"), part.box);
  else {
    const [area, t0, t1] = timeline();
    frame(area, [0, clamp((part.stretch[0] - t0) / (t1 - t0), 0, 1), 1, clamp((part.stretch[1] - t0) / (t1 - t0), 0, 1)]);
  }
  reply.textContent = W.asking;
  trigger("submit", { ...part, time: part.stretch ? (part.stretch[0] + part.stretch[1]) / 2 : players[0].state.frame, asked: ++asked });
}

const timeline = () => { const slide = holder.querySelector(".vp-slide"); return [slide, Number(slide.ariaValueMin), Number(slide.ariaValueMax)]; };

/** Frames a part of an area: top, left, bottom and right as shares of its size. */
function frame(area, [top, left, bottom, right]) {
  area.append(frameBox);
  frameBox.style.cssText = `top:${100 * top}%;left:${100 * left}%;height:${100 * (bottom - top)}%;width:${100 * (right - left)}%`;
}

document.addEventListener("keydown", event => { if (event.key === "Escape" && players.length === 1 && (frameBox.isConnected || root.classList.contains("drawing"))) arm(false); });

const shares = (event, area) => { const b = area.getBoundingClientRect(); return [clamp((event.clientY - b.top) / b.height, 0, 1), clamp((event.clientX - b.left) / b.width, 0, 1)]; };
const areaOf = event => root.classList.contains("drawing") ? event.target.closest?.(".vp-main, .vp-slide") : null;
for (const kind of ["pointerdown", "pointermove", "pointerup", "click"]) holder.addEventListener(kind, event => { // before the player sees it
  const area = from?.area ?? areaOf(event);
  if (!area) return;
  event.stopPropagation();
  event.preventDefault();
  const [y, x] = shares(event, area);
  if (kind === "pointerdown") { from = { area, y, x }; holder.setPointerCapture(event.pointerId); }
  if (!from) return;
  const wide = area.matches(".vp-slide"), box = [wide ? 0 : Math.min(y, from.y), Math.min(x, from.x), wide ? 1 : Math.max(y, from.y), Math.max(x, from.x)];
  frame(area, box);
  if (kind !== "pointerup") return;
  from = null;
  if (box[3] - box[1] < 0.02 || box[2] - box[0] < 0.02) return frameBox.remove();
  const [, t0, t1] = timeline();
  hide(wide ? { stretch: [t0 + box[1] * (t1 - t0), t0 + box[3] * (t1 - t0)] } : { box });
}, true);
watch("hidden", () => { if (props.hidden?.asked === asked) reply.textContent = props.hidden.words; });

// --- an explained example, while there is nothing else

async function showExample() {
  if (!props.showcase || example.childElementCount) return;
  const box = make("div"), words = make("p", "soft", W.example(props.showcase.title));
  example.append(box, words);
  shown = await makePlayer({ base: props.showcase.base, title: "" }, box);
  if (!shown) return;
  await shown.ready;
  shown.video.muted = shown.video.loop = true;
  root.dataset.example = "ready";
  if (root.dataset.state === "empty" && !matchMedia("(prefers-reduced-motion: reduce)").matches) shown.video.play().catch(() => {});
}
watch("showcase", showExample);

// --- from the server

function update() {
  const { input, result } = props;
  say("");
  if (!input) { close(); state("empty"); return; }
  line.textContent = `${input.name} · ${input.facts}`;
  const actions = result?.actions ?? []; // one after the other
  words.replaceChildren(...(actions.length ? actions.flatMap(({ label, prob, start, end }, n) => {
    const part = make("span", "part", `${n ? "→ " : ""}${label} `);
    part.append(make("small", "num", W.action(percent(prob), start, end)));
    return [part, " "];
  }) : [result?.sentence ?? W.question]));
  if (result?.players.length) {
    video.pause();
    state("done");
    if (known !== result.number) play(result);
    return;
  }
  close();
  preview(input.url, input.poster);
  state(result ? "unexplained" : "ready");
}

watch("value", () => { open(); update(); });
let came = props.input;
watch(["input", "result"], () => {
  update();
  if (props.input !== came) { came = props.input; trigger("input"); }
});
open();
update();
showExample();
