// All sources at once: a tile for each, with its newest picture, heat and answer. A click opens the source's own page.

import { clock } from "./clock.js";
import { make, percent } from "./common.js";
import { Link } from "./link.js";
import { Heat } from "./player.js";

const LOOK = { style: "heat", opacity: 0.62, signed: false, threshold: 0, strength: 1 };
const STALE_S = 1; // evidence that is older is marked
const STATES = {
  running: "", silent: "sends no pictures", frozen: "picture does not change", waiting: "trying again", lost: "no connection",
}; // others are their own words

// Statistics for tests: for each source, pictures and updates received, and the number of the update that is drawn.
const stats = (window.vidcamStats = {});

class Tile {
  constructor(name) {
    const element = this.element = make("a", "tile"), query = `?source=${encodeURIComponent(name)}`;
    element.href = query;
    element.title = "Click to enlarge";
    this.picture = make("canvas", "picture");
    this.overlay = make("canvas", "overlay");
    this.answer = make("span", "what", "\u00a0");
    this.prob = make("span", "num");
    this.age = make("span", "num", "no evidence yet");
    this.state = make("span", "", "connecting");
    const frame = make("div", "frame"), lines = [[make("b", "", name), this.state], [this.answer, this.prob], [this.age]];
    frame.append(this.picture, this.overlay);
    element.append(frame, ...lines.map((parts) => {
      const line = make("p");
      line.append(...parts);
      return line;
    }));
    this.stats = stats[name] = { received: 0, updates: 0, drawn: null };
    this.link = new Link({
      hello: (message) => { this.hello = message; this.heat = null; },
      status: (message) => { this.size = message.size; this.become(message.state); },
      evidence: (news) => this.take(news),
      picture: (time, blob) => this.show(time, blob).finally(() => this.link.say({ type: "got" })),
      lost: () => this.become("lost"),
    }, clock, `${query}&tile`);
  }

  become(state) {
    this.is = state;
    this.state.textContent = STATES[state] ?? state;
    this.element.classList.toggle("gone", !["opening", "running", "frozen"].includes(state));
    tell();
  }

  take(news) {
    for (const patch of news.patches) patch.values = Float32Array.from(patch.values, (v) => v / this.hello.levels);
    this.news = news;
    this.stats.updates += 1;
    [this.answer.textContent, this.prob.textContent] = [news.top[0][0], percent(news.top[0][1])];
    this.draw();
  }

  async show(time, blob) {
    const image = await createImageBitmap(blob), { picture } = this;
    if (picture.width !== image.width || picture.height !== image.height) [picture.width, picture.height] = [image.width, image.height];
    picture.getContext("2d", { alpha: false }).drawImage(image, 0, 0);
    image.close();
    this.stats.received += 1;
    if (!this.news) return;
    const age = Math.max(0, time - this.news.time);
    this.age.textContent = `evidence ${age.toFixed(1)} s old`;
    this.age.classList.toggle("late", age > STALE_S);
  }

  draw() {
    if (!this.news || !this.size) return;
    const { overlay, picture, size: [width, height] } = this;
    if (overlay.width !== picture.width || overlay.height !== picture.height) [overlay.width, overlay.height] = [picture.width, picture.height];
    if (this.heat?.size[0] !== height || this.heat.size[1] !== width) this.heat = new Heat(this.hello.drawing, [height, width]);
    this.heat.draw(overlay, this.news.patches, LOOK);
    this.stats.drawn = this.news.number;
  }
}

let tiles = [];

/** Says in the header how many sources send pictures. */
function tell() {
  const good = tiles.filter((tile) => ["running", "frozen"].includes(tile.is)).length, line = document.getElementById("state");
  const lost = tiles.every((tile) => tile.is === "lost");
  line.dataset.state = good === tiles.length ? "running" : lost ? "lost" : "opening";
  line.lastElementChild.textContent = lost ? "no connection" : `${good} of ${tiles.length} sources send pictures`;
}

const { sources } = await (await fetch("sources")).json();
tiles = sources.map((name) => new Tile(name));
const across = Math.ceil(Math.sqrt(tiles.length)), main = document.getElementById("tiles");
main.style.setProperty("--tile", `max(240px, ${Math.floor(92 / across)}vw)`);
main.style.setProperty("--rows", Math.ceil(tiles.length / across));
main.append(...tiles.map((tile) => tile.element));
tell();
