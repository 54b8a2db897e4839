// Saves a picture or a recording of the screen in this browser, without the server.

import { clock } from "./clock.js";

function save(blob, suffix) {
  const link = document.createElement("a");
  const stamp = new Date().toISOString().replace(/\.\d+Z$/, "").replace(/[-:]/g, "");
  link.download = `vidcam-${stamp}.${suffix}`;
  link.href = URL.createObjectURL(blob);
  link.click();
  clock.later(() => URL.revokeObjectURL(link.href), 10000);
}

/** Draws the picture, its evidence and a line of words into a canvas. `paint(canvas)` draws the evidence. */
export function compose(canvas, { source, width, height, mirrored, paint, title, facts }) {
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

export function snapshot(canvas) {
  canvas.toBlob((blob) => save(blob, "png"), "image/png");
}

export class Recording {
  /** Records a canvas until `stop`. Throws an Error if this browser cannot. */
  constructor(canvas) {
    const kinds = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
    const kind = kinds.find((k) => window.MediaRecorder?.isTypeSupported(k));
    if (!kind) throw new Error("This browser cannot record a canvas.");
    const parts = [];
    this.recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: kind, videoBitsPerSecond: 5e6 });
    this.recorder.ondataavailable = ({ data }) => { if (data.size) parts.push(data); };
    this.recorder.onstop = () => save(new Blob(parts, { type: kind }), kind.startsWith("video/mp4") ? "mp4" : "webm");
    this.recorder.start(1000);
  }

  stop() { this.recorder.stop(); }
}
