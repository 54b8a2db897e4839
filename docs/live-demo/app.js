// The page: a camera or a dropped video, explained in the browser. Nothing is sent anywhere.

import { keep } from "./offline.js";
import { Heat } from "./player.js";
import { Cutter, normalise, placeOf, probabilities, shownAt } from "./preprocess.js";

const HALF_LIFE_S = 10; // of the scale, as in vidcam/evidence/scale.py
const LOOK = { style: "heat", opacity: 0.62, threshold: 0, signed: false, strength: 1 };
const $ = name => document.getElementById(name);
const video = $("video"), overlay = $("overlay"), choice = $("class");

const { facts, drawing } = await (await fetch("model.json")).json();
const shot = document.createElement("canvas"), context = shot.getContext("2d", { willReadFrequently: true });
// Each runs the network on one thread, and they take turns. Threads inside one would need an isolated page, and cost more (docs/export.md).
const workers = Array.from({ length: Math.min(navigator.hardwareConcurrency || 1, 2) }, () => new Worker("worker.js", { type: "module" }));
const moments = []; // when clips were shown
const idle = []; // the workers that wait for a clip
const state = { frames: [], running: 0, passes: 0, updates: 0, scale: 1e-6, scaled: 0, last: -Infinity, explained: -Infinity, shown: -Infinity };
let cutter = null, heat = null, place = null;

const say = text => { $("state").textContent = text; };
choice.append(...facts.labels.map((label, i) => new Option(label, i)));

/** Forgets the frames: others follow, whose times begin anew. */
const forget = () => Object.assign(state, { frames: [], last: -Infinity, explained: -Infinity, shown: -Infinity, passes: state.passes + 1 });

/** Begins anew: another picture, another size. */
const begin = () => {
  const size = [video.videoHeight, video.videoWidth];
  Object.assign(state, { scale: 1e-6, scaled: performance.now(), running: state.running + 1 });
  forget();
  [shot.height, shot.width] = size;
  cutter = new Cutter(facts, size);
  place = placeOf(facts, cutter.geometry);
  heat = new Heat(drawing, size);
  overlay.getContext("2d").clearRect(0, 0, overlay.width, overlay.height);
  $("stage").style.setProperty("--shape", size[1] / size[0]); // so that the whole picture is on the screen
  const run = state.running;
  const next = (now, { mediaTime }) => {
    if (run !== state.running) return;
    take(video.srcObject ? now / 1000 : mediaTime);
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
};

/** Keeps the picture on the screen, if it is needed, and starts the network on the clip that ends with it. */
const take = time => {
  const interval = facts.interval_s;
  if (time < state.last) forget(); // the video has begun again
  else if (time - state.last < interval / 3) return;
  state.last = time;
  context.drawImage(video, 0, 0);
  const { frames } = state;
  frames.push({ time, crop: cutter.cut(context.getImageData(0, 0, shot.width, shot.height).data) });
  const first = time - (facts.frames - 1) * interval;
  while (frames.length > 1 && frames[1].time <= first) frames.shift();
  explain(time);
};

const explain = time => {
  if (!idle.length || time - state.explained < facts.interval_s / 2) return; // the network tells no finer times apart
  state.explained = time;
  const wanted = Array.from({ length: facts.frames }, (_, i) => time - (facts.frames - 1 - i) * facts.interval_s);
  const crops = shownAt(state.frames.map(f => f.time), wanted).map(i => state.frames[i].crop), clip = normalise(facts, crops);
  idle.pop().postMessage({ clip, shape: [1, 3, facts.frames, ...facts.crop], time, pass: state.passes }, [clip.buffer]);
};

/** Raises the scale at once and lets it fall slowly, so that the picture does not pump. */
const rescale = values => {
  const now = performance.now();
  state.scale *= 0.5 ** ((now - state.scaled) / 1000 / HALF_LIFE_S);
  state.scaled = now;
  for (const value of values) state.scale = Math.max(state.scale, Math.abs(value));
  return state.scale;
};

/** Returns how many clips were shown in a second, on average over some of the last ones. */
const rate = () => {
  const now = performance.now();
  moments.push(now);
  if (moments.length > 20) moments.shift();
  return moments.length > 1 ? ((moments.length - 1) * 1000 / (now - moments[0])).toFixed(1) : "–";
};

const show = ({ logits, maps, shape, took }) => {
  const odds = probabilities(facts, logits), order = odds.map((_, i) => i).sort((a, b) => odds[b] - odds[a]);
  const chosen = choice.value === "" ? order[0] : Number(choice.value), rejected = choice.value === "" && facts.rejects.includes(facts.labels[chosen]);
  $("top").replaceChildren(...order.slice(0, 3).map(i => {
    const row = document.createElement("li"), bar = document.createElement("i");
    bar.style.width = `${100 * odds[i]}%`;
    row.append(bar, `${facts.labels[i]}  ${(100 * odds[i]).toFixed(0)} %`);
    return row;
  }));
  const [, , times, rows, columns] = shape, cells = rows * columns, from = (chosen * times + times - 1) * cells; // the newest cell
  const values = Float32Array.from(maps.subarray(from, from + cells)), scale = rescale(values);
  const box = video.getBoundingClientRect(), dense = Math.min(devicePixelRatio || 1, 2);
  Object.assign(overlay, { width: Math.max(1, Math.round(box.width * dense)), height: Math.max(1, Math.round(box.height * dense)) });
  heat.draw(overlay, [{ ...place, values: rejected ? values.fill(0) : values.map(v => v / scale) }], { ...LOOK, signed: $("signed").checked });
  state.updates += 1;
  state.took = state.took ? 0.9 * state.took + 0.1 * took : took;
  document.body.dataset.updates = state.updates;
  say(`${facts.labels[chosen]} · ${state.took.toFixed(0)} ms for a clip · ${rate()} a second`);
};

const start = () => {
  document.body.dataset.ready = "";
  say("Ready: everything is here, and nothing is sent. Choose the camera, or drop a video.");
  keep({
    kept: () => { document.body.dataset.kept = $("kept").textContent = "This browser keeps the page: it opens without a network."; },
    offer: change => {
      $("newer").hidden = false;
      $("change").addEventListener("click", change, { once: true });
    },
  });
};

for (const worker of workers) worker.onmessage = ({ data }) => {
  if (data.error) return say(`The network cannot be run here: ${data.error}`);
  idle.push(worker);
  if (data.ready) return document.body.dataset.ready === undefined && start();
  if (state.frames.length) explain(state.last); // the next clip is computed while this one is drawn
  if (data.pass !== state.passes || data.time < state.shown) return; // it is late: of another video, or behind what is shown
  state.shown = data.time;
  show(data);
};

video.addEventListener("loadeddata", begin);

const play = async file => {
  video.srcObject?.getTracks().forEach(track => track.stop());
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  video.loop = true;
  await video.play().catch(() => say(`This browser cannot play ${file.name}.`));
};

$("camera").addEventListener("click", async () => {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: false });
    await video.play();
  } catch (error) {
    say(navigator.mediaDevices ? `The camera cannot be used: ${error.message}` : "Browsers give cameras to https pages only.");
  }
});
$("file").addEventListener("change", () => $("file").files[0] && play($("file").files[0]));
addEventListener("dragover", event => event.preventDefault());
addEventListener("drop", event => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) play(event.dataTransfer.files[0]);
});
$("what").textContent = `${facts.title}: ${facts.labels.length} answers, ${facts.frames} frames of ${facts.crop.join(" × ")} pixels.`;
