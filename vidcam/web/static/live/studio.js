// Snapshots and recordings of what is seen, made in this browser without the server.

import { clock } from "./clock.js";
import { $ } from "./elements.js";
import { noticeBriefly } from "./notice.js";
import { state } from "./state.js";
import { WORDS } from "./words.js";

const composed = document.createElement("canvas"); // what is recorded
let recording = null;

/** Saves a picture of what is seen. */
export function saveSnapshot() {
  if (!state.camera && !Number.isFinite(state.shownTime)) return; // nothing is shown yet
  const canvas = document.createElement("canvas");
  film(canvas);
  canvas.toBlob((blob) => save(blob, "png"), "image/png");
}

/** Begins to record, or ends the recording and saves it. */
export function toggleRecording() {
  if (recording) {
    recording.stop();
    recording = null;
  } else {
    try {
      film(composed);
      recording = new Recording(composed);
    } catch (error) {
      noticeBriefly(error.message);
    }
  }
  $("record").classList.toggle("on", recording !== null);
  $("record").lastElementChild.textContent = recording ? WORDS.stop : WORDS.record;
}

/** Takes what is seen into the recording, if there is one. Call it at every new picture. */
export function filmIfRecording() { if (recording) film(composed); }

/** Draws what is seen into a canvas, with a line of words below. */
function film(canvas) {
  const { camera, held, hello, isInStep, isMirrored, memory, status, target } = state;
  const isCamera = camera && held === null && !isInStep, source = isCamera ? $("camera") : $("picture");
  const [width, height] = isCamera ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
  const news = held === null ? target : memory.at(held).news;
  compose(canvas, {
    source, width: width - (width % 2), height: height - (height % 2), mirrored: isMirrored, paint: $("overlay"),
    title: news ? WORDS.saved(news) : "", facts: news ? WORDS.savedFacts(news, hello.model.name, status?.settings.method ?? "") : "",
  });
}

/** Draws a picture, the evidence `paint` over it, and a line of words into a canvas. */
function compose(canvas, { source, width, height, mirrored, paint, title, facts }) {
  const band = Math.round(Math.max(28, height / 14));
  if (canvas.width !== width || canvas.height !== height + band) [canvas.width, canvas.height] = [width, height + band];
  const c = canvas.getContext("2d");
  c.save();
  if (mirrored) {
    c.translate(width, 0);
    c.scale(-1, 1);
  }
  c.drawImage(source, 0, 0, width, height);
  c.drawImage(paint, 0, 0, width, height);
  c.restore();
  c.fillStyle = "#111113";
  c.fillRect(0, height, width, band);
  c.textBaseline = "middle";
  c.fillStyle = "#f0efec";
  c.font = `600 ${Math.round(band * 0.46)}px system-ui, sans-serif`;
  c.textAlign = "left";
  c.fillText(title, band * 0.4, height + band / 2);
  const used = c.measureText(title).width + band;
  c.fillStyle = "#a5a19a";
  c.font = `${Math.round(band * 0.38)}px system-ui, sans-serif`;
  c.textAlign = "right";
  if (used + c.measureText(facts).width < width) c.fillText(facts, width - band * 0.4, height + band / 2);
}

class Recording {
  /** Records a canvas until `stop`. Throws an Error if this browser cannot. */
  constructor(canvas) {
    const kinds = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
    const kind = kinds.find((k) => window.MediaRecorder?.isTypeSupported(k));
    if (!kind) throw new Error(WORDS.noRecording);
    const parts = [];
    this.recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: kind, videoBitsPerSecond: 5e6 });
    this.recorder.ondataavailable = ({ data }) => { if (data.size) parts.push(data); };
    this.recorder.onstop = () => save(new Blob(parts, { type: kind }), kind.startsWith("video/mp4") ? "mp4" : "webm");
    this.recorder.start(1000);
  }

  stop() { this.recorder.stop(); }
}

/** Has the browser save a file. */
function save(blob, suffix) {
  const link = document.createElement("a");
  const stamp = new Date().toISOString().replace(/\.\d+Z$/, "").replace(/[-:]/g, "");
  link.download = `vidcam-${stamp}.${suffix}`;
  link.href = URL.createObjectURL(blob);
  link.click();
  clock.later(() => URL.revokeObjectURL(link.href), 10000);
}
