// The stage: bring a video, see the answer, play it, and go to any moment of it by its evidence.
const root = element.firstElementChild;

// --- the parts

const head = make("div", "say"), line = make("p", "eyebrow"), words = make("h2", "sentence");
const top = make("div", "top");
head.append(top, words);
const screen = make("div", "screen"), video = make("video"), lost = make("p", "lost"), tools = make("div", "tools");
Object.assign(video, { controls: true, loop: true, muted: true, playsInline: true, preload: "auto" });
video.controlsList = "nodownload noremoteplayback";
video.disablePictureInPicture = true;
const drop = make("div", "drop"), notice = make("p", "notice"), past = make("div", "past"), film = make("div", "film");
notice.setAttribute("role", "alert");
const chooser = make("input");
Object.assign(chooser, { type: "file", accept: "video/*,image/gif,.mkv,.avi,.webm,.mov", hidden: true });
chooser.setAttribute("aria-label", "Video file");
const flip = make("div", "choice"), other = button("quiet", "Another video", () => state("empty"));
flip.setAttribute("role", "radiogroup");
flip.setAttribute("aria-label", "Which video");
const views = [["explained", "Explained"], ["original", "Original"]].map(([key, text]) => {
  const b = button("", text, () => view(key));
  b.setAttribute("role", "radio");
  b.dataset.view = key;
  flip.append(b);
  return b;
});
const ICONS = { start: "M8 5v14l11-7z", pause: "M7 5h4v14H7zM13 5h4v14h-4z", full: "M4 9V4h5v2H6v3zM15 4h5v5h-2V6h-3zM4 15h2v3h3v2H4zM18 15h2v5h-5v-2h3z",
  back: "M15 6v12l-9-6zM17 6h2v12h-2z", on: "M9 6l9 6-9 6zM5 6h2v12H5z",
  aloud: "M4 9v6h4l5 4V5L8 9zM15 8.5q3 3.500 0 7l1.200 1q4-4.500 0-9z", quietly: "M4 9v6h4l5 4V5L8 9zM15.500 10l1-1 1.500 1.500L19.500 9l1 1-1.500 1.500 1.500 1.500-1 1L18 12.500 16.500 14l-1-1 1.500-1.500z" };
const icon = (names, title, act) => {
  const b = button("icon", "", act);
  b.innerHTML = names.map(n => `<svg class="${n}" viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[n]}"/></svg>`).join("");
  b.title = title;
  b.setAttribute("aria-label", title);
  return b;
};
const toggle = () => video.paused ? video.play() : video.pause();
const next = way => {
  const all = props.result.moments.map(m => m.time).filter(t => way * (t - time) > 0.05);
  if (all.length) seek(way > 0 ? Math.min(...all) : Math.max(...all));
};
const play = icon(["start", "pause"], "Play or pause", toggle);
play.classList.add("play");
const sound = icon(["aloud", "quietly"], "Sound", () => { video.muted = !video.muted; root.classList.toggle("loud", !video.muted); });
const full = icon(["full"], "Full screen", () => document.fullscreenElement ? document.exitFullscreen() : screen.requestFullscreen());
sound.classList.add("sound");
full.classList.add("full");
tools.append(play, icon(["back"], "The moment before", () => next(-1)), icon(["on"], "The next moment", () => next(1)), flip, sound, full);
top.append(line, other);
video.addEventListener("click", () => { if (!video.controls) toggle(); });
for (const kind of ["play", "pause"]) video.addEventListener(kind, () => root.classList.toggle("playing", !video.paused));
screen.append(video, lost);
root.append(head, drop, notice, screen, tools, past, film);

let showing = "explained", time = null, known = null; // `known` is the number of the result on the screen

function state(name) {
  root.dataset.state = name;
  video.controls = name !== "done"; // with evidence, its timeline replaces the browser's controls
  if (name === "empty") { video.pause(); back.hidden = !props.input; }
}

// --- bringing a video

const big = make("p", "big", "Drop a video here"), limits = make("p", "soft"), choose = button("go", "Choose a video", () => chooser.click());
const camera = button("", "Record", record), shelf = make("div", "shelf"), shelfTitle = make("p", "soft", "or take an example");
const back = button("quiet", "Back", () => state(props.result ? "done" : "ready"));
const pair = make("div", "pair"), sending = make("div", "sending"), uploaded = make("i"), bar = make("div", "bar");
bar.append(uploaded);
sending.append(make("p", "", "Sending"), bar);
pair.append(choose, camera, back);
const target = make("div", "target");
target.append(big, pair, limits, sending, chooser);
drop.append(target, shelfTitle, shelf);
sending.hidden = true;

const say = text => { notice.textContent = text; };

function send(blob, name) {
  const { token, size } = props.value;
  say("");
  if (blob.size > size) { say(`${name} is larger than allowed here (${props.value.words}): cut it, or start the app with a larger --max-size.`); return; }
  const request = new XMLHttpRequest();
  request.open("POST", `media/${token}?name=${encodeURIComponent(name)}`);
  request.upload.onprogress = e => {
    uploaded.style.width = `${100 * e.loaded / e.total}%`;
    sending.firstElementChild.textContent = e.loaded < e.total ? "Sending" : "Looking at it, when it is its turn";
  };
  request.onloadend = () => {
    sending.hidden = true;
    chooser.value = "";
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* told below */ }
    if (request.status === 200) trigger("upload");
    else say(answer.error ?? "The video could not be sent: is vidcam still running?");
  };
  sending.hidden = false;
  uploaded.style.width = "0";
  request.send(blob);
}

chooser.addEventListener("change", () => { if (chooser.files[0]) send(chooser.files[0], chooser.files[0].name); });
for (const kind of ["dragover", "dragleave", "drop"]) root.addEventListener(kind, e => {
  if (!e.dataTransfer?.types.includes("Files")) return;
  e.preventDefault();
  target.classList.toggle("over", kind === "dragover");
  if (kind === "drop" && e.dataTransfer.files[0]) send(e.dataTransfer.files[0], e.dataTransfer.files[0].name);
});

async function record() {
  say("");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: false });
  } catch (error) {
    say(error.name === "NotFoundError" ? "This device has no camera." : "The camera was not granted: allow it beside the address, and try again.");
    return;
  }
  const box = make("div", "recorder"), eye = make("video"), row = make("div", "pair"), seconds = make("span", "num");
  eye.srcObject = stream;
  eye.muted = eye.playsInline = true;
  eye.play();
  const type = ["video/webm;codecs=vp8", "video/webm", "video/mp4"].find(t => MediaRecorder.isTypeSupported(t));
  const recorder = new MediaRecorder(stream, { mimeType: type }), parts = [];
  let kept = false, began = 0;
  const tick = setInterval(() => { if (recorder.state === "recording") seconds.textContent = timeText((performance.now() - began) / 1000); }, 100);
  recorder.ondataavailable = e => parts.push(e.data);
  recorder.onstop = () => { close(); if (kept) send(new Blob(parts, { type }), type.includes("mp4") ? "recording.mp4" : "recording.webm"); };
  const close = () => { clearInterval(tick); stream.getTracks().forEach(t => t.stop()); box.remove(); target.hidden = false; };
  const start = button("go", "Start", () => {
    if (recorder.state === "inactive") { recorder.start(); began = performance.now(); start.textContent = "Stop and use it"; }
    else { kept = true; recorder.stop(); }
  });
  row.append(start, button("", "Cancel", () => recorder.state === "inactive" ? close() : recorder.stop()), seconds);
  box.append(eye, row);
  target.hidden = true;
  drop.prepend(box);
}

function open() {
  const { examples = [], words: most = "", secret } = props.value ?? {};
  if (secret) try { sessionStorage.setItem("vidcam", secret); } catch { /* the browser forbids it: then a reload begins anew */ }
  limits.textContent = most;
  shelf.replaceChildren(...examples.map(example => {
    const b = button("example", "", () => { say(""); trigger("select", { name: example.name }); });
    b.append(image(example.poster), make("b", "", example.name.replace(/\.\w+$/, "").replaceAll("_", " ")), make("small", "num", example.facts.split(" · ")[0]));
    b.title = `${example.name}, ${example.facts}`;
    return b;
  }));
  shelfTitle.hidden = !examples.length;
}

// --- the video on the screen

let wanted = null; // the time to go to, and whether to play, once a new video is open
const offset = () => showing === "explained" && props.result ? props.result.offset : 0;

function show(src, at, playing) {
  lost.textContent = "";
  if (video.getAttribute("src") === src) return;
  wanted = { at, playing };
  root.dataset.video = "opening";
  video.src = src;
}

video.addEventListener("loadedmetadata", () => {
  if (wanted?.at != null) video.currentTime = Math.max(0, wanted.at);
  if (wanted?.playing) video.play();
  wanted = null;
  root.dataset.video = "open";
});

function view(name) {
  const at = time, playing = wanted?.playing ?? !video.paused;
  showing = name;
  for (const b of views) b.setAttribute("aria-checked", b.dataset.view === name);
  const src = name === "explained" && props.result ? props.result.video : props.input.url;
  show(src, at === null ? null : at - offset(), playing);
}

video.addEventListener("error", () => {
  if (showing === "original" || !props.result) lost.textContent = "Your browser cannot play this format. It can be explained all the same.";
});

function seek(t) {
  if (!props.result) return;
  time = clamp(t, props.result.t0, props.result.t1);
  if (wanted) wanted.at = time - offset();
  else video.currentTime = Math.max(0, time - offset());
  cursor();
}

function follow() {
  if (!props.result || wanted) return;
  if (!video.seeking) { time = video.currentTime + offset(); cursor(); }
  if (!video.paused) requestAnimationFrame(follow);
}
video.addEventListener("play", follow);
video.addEventListener("seeked", follow);

// --- the evidence over time

const NS = "http://www.w3.org/2000/svg";
let plot = null, needle = null, now = null, outputs = [];

function draw() {
  const r = props.result, span = r.t1 - r.t0, names = Object.keys(r.curves);
  const x = t => clamp(100 * (t - r.t0) / span, 0, 100);
  const finite = Object.values(r.curves).flat().filter(v => v !== null);
  let low = Math.min(0, ...finite), high = Math.max(0, ...finite) || (low ? 0 : 1);
  const room = 0.08 * (high - low);
  [low, high] = [low ? low - room : 0, high + room];
  const y = v => 100 * (high - v) / (high - low);

  const band = make("div", "band");
  for (const w of r.windows) {
    const s = make("span", "", w.label), width = x(w.end) - x(w.start), n = names.indexOf(w.label);
    s.style.cssText = `left:${x(w.start)}%;width:${width}%`;
    if (n >= 0) s.classList.add(`c${n % HUES}`);
    s.title = `${w.label}, ${(100 * w.prob).toFixed(1)} %`;
    band.append(s);
  }
  plot = make("div", "plot");
  plot.tabIndex = 0;
  for (const [k, v] of Object.entries({ role: "slider", "aria-label": "Time in the video", "aria-valuemin": r.t0, "aria-valuemax": r.t1 })) plot.setAttribute(k, v);
  for (const s of r.segments) {
    const shade = make("div", `shade c${names.indexOf(s.label) % HUES}`);
    shade.style.cssText = `left:${x(s.start)}%;width:${x(s.end) - x(s.start)}%`;
    plot.append(shade);
  }
  const zero = make("div", "zero");
  zero.style.top = `${y(0)}%`;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  names.forEach((name, n) => {
    const group = document.createElementNS(NS, "g");
    group.setAttribute("class", `c${n % HUES}`);
    let path = "", area = "", run = [];
    const end = () => {
      if (run.length) {
        path += `M${run.join(" ")}${run.length === 1 ? "h0" : ""}`;
        area += `M${run[0].split(",")[0]},${y(0)} ${run.join(" ")} ${run.at(-1).split(",")[0]},${y(0)}Z`;
      }
      run = [];
    };
    r.curves[name].forEach((v, i) => v === null ? end() : run.push(`${x(r.times[i]).toFixed(2)},${y(v).toFixed(2)}`));
    end();
    for (const [kind, d] of [["area", area], ["curve", path]]) {
      if (kind === "area" && names.length > 2) continue;
      const p = document.createElementNS(NS, "path");
      p.setAttribute("class", kind);
      p.setAttribute("d", d);
      group.append(p);
    }
    svg.append(group);
  });
  plot.append(zero, svg);
  for (const m of r.moments) {
    const mark = make("i", `mark c${names.indexOf(m.label) % HUES}`);
    mark.style.left = `${x(m.time)}%`;
    plot.append(mark);
  }
  const step = [.1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300].find(s => span / s <= 6) ?? span;
  for (let k = Math.ceil(r.t0 / step); k * step <= r.t1 + 1e-6; k++) {
    const tick = make("span", "tick num", timeText(k * step).replace(".0", ""));
    tick.style.left = `${x(k * step)}%`;
    if (x(k * step) < 2) tick.classList.add("first");
    if (x(k * step) > 98) tick.classList.add("last");
    plot.append(tick);
  }
  needle = make("div", "needle");
  plot.append(needle);
  const legend = make("div", "legend");
  now = make("span", "num soft");
  legend.append(now);
  outputs = names.map((name, n) => {
    const item = make("span", `key c${n % HUES}`, name), value = make("output", "num");
    item.append(value);
    legend.append(item);
    return value;
  });
  past.replaceChildren(band, plot, legend);

  const at = e => { const box = plot.getBoundingClientRect(); return r.t0 + clamp((e.clientX - box.left) / box.width, 0, 1) * span; };
  let held = false;
  plot.addEventListener("pointerdown", e => { held = true; plot.setPointerCapture(e.pointerId); seek(at(e)); });
  plot.addEventListener("pointermove", e => held ? seek(at(e)) : values(at(e)));
  for (const kind of ["pointerup", "pointercancel"]) plot.addEventListener(kind, () => { held = false; });
  plot.addEventListener("pointerleave", () => values(time));
  plot.addEventListener("keydown", e => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[e.key];
    if (by) { e.preventDefault(); seek((time ?? r.t0) + by * span / 100); }
    else if (e.key === " ") { e.preventDefault(); toggle(); }
  });

  film.replaceChildren(...r.moments.map(m => {
    const b = button("moment", "", () => { seek(m.time); screen.scrollIntoView({ block: "nearest", behavior: "smooth" }); });
    const under = make("span", `under c${names.indexOf(m.label) % HUES}`);
    under.append(make("b", "num", timeText(m.time)), make("span", "", m.label));
    b.append(image(m.src, `The picture at ${timeText(m.time)} with the evidence for ${m.label}`), under);
    return b;
  }));
}

function values(t) {
  const r = props.result;
  if (!r || t === null) return;
  now.textContent = `${timeText(t)}`;
  let low = 0, high = r.times.length - 1;
  while (low < high) { const mid = (low + high) >> 1; r.times[mid] < t ? low = mid + 1 : high = mid; }
  if (low > 0 && t - r.times[low - 1] < r.times[low] - t) low--;
  Object.values(r.curves).forEach((curve, i) => {
    const v = curve[low];
    outputs[i].textContent = v === null ? "not seen" : `${v < 0 ? "−" : "+"}${Number(Math.abs(v).toPrecision(3))} ${r.unit}/s`;
  });
}

function cursor() {
  const r = props.result;
  if (!needle || time === null) return;
  needle.style.left = `${clamp(100 * (time - r.t0) / (r.t1 - r.t0), 0, 100)}%`;
  plot.setAttribute("aria-valuenow", time.toFixed(2));
  plot.setAttribute("aria-valuetext", timeText(time));
  values(time);
}

// --- from the server

function update() {
  const { input, result } = props;
  say("");
  if (!input) { known = null; state("empty"); return; }
  tools.classList.toggle("silent", !input.sound);
  line.textContent = `${input.name} · ${input.facts}`;
  words.textContent = result ? result.sentence : "What does the model say, and why?";
  if (!result) {
    known = time = null;
    past.replaceChildren();
    film.replaceChildren();
    state("ready");
    showing = "original";
    video.poster = input.poster;
    show(input.url, null, false);
    return;
  }
  state("done");
  const fresh = known !== result.number;
  if (fresh) { known = result.number; time = result.peak ?? result.t0; showing = result.rejected ? "original" : "explained"; }
  flip.hidden = result.rejected; // then there is no evidence to show
  root.classList.toggle("unexplained", result.rejected);
  draw();
  cursor();
  view(showing);
  if (fresh && root.getBoundingClientRect().top < -40) root.scrollIntoView({ behavior: "smooth" });
}

watch("value", () => { open(); update(); });
let came = props.input;
watch(["input", "result"], () => {
  update();
  if (props.input !== came) { came = props.input; trigger("input"); }
});
open();
update();
