// The websocket to the server: JSON texts and pictures in both directions, opened again if it breaks.

const FIRST_MS = 500, LONGEST_MS = 2000, REFUSED_MS = 8000;

/** The states of a source in which what is shown of it is not out of date. */
export const UP_TO_DATE = ["opening", "running", "frozen"];

/** Turns the values of an update's maps into shares of its scale, and returns it. */
export function toShares(news, levels) {
  for (const patch of news.patches) patch.values = Float32Array.from(patch.values, (v) => v / levels);
  return news;
}

export class Link {
  /**
   * `on` maps the types of messages to functions; it may also have `picture`, `lost` and `found` (the connection breaks, or opens).
   * `query` says which source, and how.
   */
  constructor(on, clock, query = "") {
    this.query = query;
    this.on = on;
    this.clock = clock;
    this.pause = FIRST_MS;
    this.dropped = 0; // pictures that were not sent, because earlier ones were still on their way
    this.timer = null;
    this.open();
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.retry(); });
  }

  /** Tries now, if the connection is lost. */
  retry() {
    if (this.timer === null) return;
    this.clock.forget(this.timer);
    this.open();
  }

  open() {
    this.timer = null;
    const here = new URL("ws", location.href);
    here.search = this.query;
    here.protocol = here.protocol.replace("http", "ws");
    const socket = this.socket = new WebSocket(here);
    let refused = false;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.pause = FIRST_MS; this.on.found?.(); };
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") {
        const time = new DataView(data).getFloat64(0, true);
        this.on.picture?.(time, new Blob([new Uint8Array(data, 8)], { type: "image/jpeg" }));
        return;
      }
      const message = JSON.parse(data);
      this.on[message.type]?.(message, data.length);
    };
    socket.onclose = ({ code }) => {
      refused = code === 4000;
      if (!refused) this.on.lost?.();
      this.timer = this.clock.later(() => this.open(), refused ? REFUSED_MS : this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_MS);
    };
  }

  get ready() { return this.socket.readyState === WebSocket.OPEN; }

  say(message) { if (this.ready) this.socket.send(JSON.stringify(message)); }

  /** Sends a picture, unless earlier ones are still waiting. */
  async show(time, blob) {
    if (!this.ready) return;
    if (this.socket.bufferedAmount > 200000) { this.dropped += 1; return; }
    const jpeg = new Uint8Array(await blob.arrayBuffer()), message = new Uint8Array(8 + jpeg.length);
    new DataView(message.buffer).setFloat64(0, time, true);
    message.set(jpeg, 8);
    if (this.ready) this.socket.send(message);
  }
}
