// The camera of this browser: shown as it is, and sent to the server as small JPEGs, no more than the model can use.

import { clock } from "./clock.js";
import { WORDS } from "./words.js";

export class Camera {
  /**
   * `sent(time, blob)` gets every picture that goes to the server, `shown(time)` is called for every one that is displayed,
   * `ended()` when the camera is gone.
   */
  constructor(video, { side, every_s }, { sent, shown, ended }) {
    this.video = video;
    this.fit({ side, every_s });
    this.sent = sent;
    this.shown = shown;
    this.ended = ended;
    this.last = -Infinity;
    this.busy = false;
    this.encoder = new Worker(new URL("encoder.js", import.meta.url));
    this.encoder.onmessage = ({ data: { time, blob } }) => {
      this.busy = false;
      this.sent(time, blob);
    };
  }

  /** Sends what this model can use from now on. */
  fit({ side, every_s }) {
    this.side = side;
    this.gap_s = Math.max(1 / 30, every_s / 3); // a sample is complete once the next picture has come, so more pictures mean less lag
  }

  /** Asks for the camera; throws an Error with a sentence for the user if it cannot be used. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(WORDS.cameraInsecure);
    }
    try {
      const wish = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, facingMode: "user" };
      this.stream = await navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
    } catch (error) {
      throw new Error(WORDS.cameraErrors[error.name] ?? WORDS.cameraError(error.message));
    }
    this.stream.getVideoTracks()[0].addEventListener("ended", () => { this.stop(); this.ended(); });
    this.video.srcObject = this.stream;
    this.video.hidden = false;
    await this.video.play();
    const next = () => {
      this.shown(clock.now() / 1000);
      this.take();
      this.handle = this.video.requestVideoFrameCallback(next);
    };
    this.handle = this.video.requestVideoFrameCallback(next);
  }

  /** Stops the camera. */
  stop() {
    this.video.cancelVideoFrameCallback(this.handle);
    this.encoder.terminate();
    this.video.srcObject = null;
  }

  /** Sends this picture if the next one is due. */
  async take() {
    const video = this.video, now = clock.now() / 1000;
    if (this.busy || now < this.last + this.gap_s - 0.004 || !video.videoWidth) return;
    const scale = Math.min(1, this.side / Math.min(video.videoWidth, video.videoHeight));
    const width = Math.round(video.videoWidth * scale), height = Math.round(video.videoHeight * scale);
    this.last = now;
    this.busy = true;
    const image = await createImageBitmap(video);
    this.encoder.postMessage({ time: now, image, width, height }, [image]);
  }
}
