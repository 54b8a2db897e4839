// The stage: bring a video, read the answer, and play the video with its evidence.
const root = element.firstElementChild;

// --- the parts

const head = make("div", "say"), line = make("p", "eyebrow"), words = make("h2", "sentence"), top = make("div", "top");
const screen = make("div", "screen"), video = make("video"), lost = make("p", "lost"), holder = make("div", "holder");
Object.assign(video, { controls: true, loop: true, muted: true, playsInline: true, preload: "auto" });
const drop = make("div", "drop"), notice = make("p", "notice"), chooser = make("input");
notice.setAttribute("role", "alert");
Object.assign(chooser, { type: "file", accept: "video/*,image/gif,.mkv,.avi,.webm,.mov", hidden: true });
chooser.setAttribute("aria-label", "Video file");
const other = button("quiet", "Another video", () => state("empty"));
top.append(line, other);
head.append(top, words);
screen.append(video, lost);
root.append(head, drop, notice, screen, holder);

let known = null, player = null; // the number of the result whose player is shown

function state(name) {
  root.dataset.state = name;
  if (name !== "empty") return;
  video.pause();
  player?.video.pause();
  back.hidden = !props.input;
}

// --- bringing a video

const big = make("p", "big", "Drop a video here"), limits = make("p", "soft"), choose = button("go", "Choose a video", () => chooser.click());
const camera = button("", "Record", record), shelf = make("div", "shelf"), shelfTitle = make("p", "soft", "or take an example");
const back = button("quiet", "Back", () => update());
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

// --- the player

video.addEventListener("error", () => { lost.textContent = "Your browser cannot play this format. It can be explained all the same."; });

function preview(url, poster) {
  lost.textContent = "";
  if (video.getAttribute("src") !== url) Object.assign(video, { src: url, poster });
}

function close() {
  known = null;
  if (!player) return;
  player.video.pause();
  player.video.removeAttribute("src");
  player.video.load();
  player = null;
  holder.replaceChildren();
}

async function play({ number, player: base }) {
  close();
  known = number;
  const { createPlayer } = await import(new URL("player/player.js", document.baseURI).href);
  const data = await (await fetch(`${base}player.json`)).json();
  if (known !== number) return; // there is another result by now
  data.video.src = base + data.video.src;
  const box = make("div", ""), part = async name => new Uint8Array(await (await fetch(`${base}part-${name}`)).arrayBuffer());
  box.tabIndex = -1;
  holder.replaceChildren(box);
  player = createPlayer(box, data, part, { hash: false, keys: false });
  holder.append(player.strip);
  player.ready.then(() => { root.dataset.player = number; });
  if (root.getBoundingClientRect().top < -40) root.scrollIntoView();
}

for (const kind of ["keydown", "keyup"]) document.addEventListener(kind, event => { // the player's keys are the whole tab's
  const box = holder.firstElementChild, busy = event.target.closest?.("input, select, textarea, button, a, [role], [contenteditable], dialog");
  if (!player || busy || !box.checkVisibility() || event.ctrlKey || event.metaKey) return;
  const copy = new KeyboardEvent(kind, { key: event.key, shiftKey: event.shiftKey, altKey: event.altKey, repeat: event.repeat, cancelable: true });
  if (!box.dispatchEvent(copy)) event.preventDefault();
});

// --- from the server

function update() {
  const { input, result } = props;
  say("");
  if (!input) { close(); state("empty"); return; }
  line.textContent = `${input.name} · ${input.facts}`;
  words.textContent = result ? result.sentence : "What does the model say, and why?";
  if (result?.player) {
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
