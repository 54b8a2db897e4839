// All sources at once: a tile for each, with its newest picture, heat and answer, and the events of all. A click opens the source's own page.

import { clock } from "./clock.js";
import { make } from "./common.js";
import { makeDecoder } from "./decoder.js";
import { $ } from "./elements.js";
import { hashOf } from "./event_dialog.js";
import { EventList } from "./events.js";
import { Link, UP_TO_DATE, toShares } from "./link.js";
import { Heat } from "./player.js";
import { WORDS } from "./words.js";

const LOOK = { style: "heat", opacity: 0.62, signed: false, threshold: 0, strength: 1 };
const STALE_S = 1; // evidence that is older is marked

// Statistics for tests: for each source, pictures and updates received, and the number of the update that is drawn.
const stats = (window.vidcamStats = {});

const events = new EventList($("watch"), (event, source) => { location.href = addressOf(source) + hashOf(event); }, { isOfSeveral: true });
const addressOf = (source) => `?source=${encodeURIComponent(source)}`;

class Tile {
  constructor(name) {
    const element = this.element = make("a", "tile"), address = addressOf(name);
    element.href = address;
    element.title = WORDS.tileTitle;
    this.picture = make("canvas", "picture");
    this.overlay = make("canvas", "overlay");
    this.answer = make("span", "what", "\u00a0");
    this.prob = make("span", "num");
    this.age = make("span", "num", WORDS.noEvidence);
    this.state = make("span", "", WORDS.connecting);
    const frame = make("div", "frame"), lines = [[make("b", "", name), this.state], [this.answer, this.prob], [this.age]];
    frame.append(this.picture, this.overlay);
    element.append(frame, ...lines.map((parts) => {
      const line = make("p");
      line.append(...parts);
      return line;
    }));
    this.decode = makeDecoder();
    this.stats = stats[name] = { received: 0, updates: 0, drawn: null };
    this.link = new Link({
      hello: (message) => { this.hello = message; this.heat = null; events.clear(name); },
      status: (message) => { this.size = message.size; this.become(message.state); },
      evidence: (news) => this.take(news),
      picture: (time, blob) => this.show(time, blob).finally(() => this.link.say({ type: "got" })),
      event: (event) => events.take(event, name),
      lost: () => this.become("lost"),
    }, clock, `${address}&tile`);
  }

  become(state) {
    this.is = state;
    this.state.textContent = WORDS.states[state];
    this.element.classList.toggle("gone", !UP_TO_DATE.includes(state));
    tell();
  }

  take(news) {
    this.news = toShares(news, this.hello.levels);
    this.stats.updates += 1;
    [this.answer.textContent, this.prob.textContent] = [news.top[0][0], WORDS.share(news.top[0][1])];
    this.draw();
  }

  async show(time, blob) {
    const image = await this.decode(blob), { picture } = this;
    if (image === null) return;
    if (picture.width !== image.width || picture.height !== image.height) [picture.width, picture.height] = [image.width, image.height];
    picture.getContext("2d", { alpha: false }).drawImage(image, 0, 0);
    image.close();
    this.stats.received += 1;
    if (!this.news) return;
    const age = Math.max(0, time - this.news.time);
    this.age.textContent = WORDS.age(age);
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
  const good = tiles.filter((tile) => ["running", "frozen"].includes(tile.is)).length, line = $("state");
  const lost = tiles.every((tile) => tile.is === "lost");
  line.dataset.state = good === tiles.length ? "running" : lost ? "lost" : "opening";
  line.lastElementChild.textContent = lost ? WORDS.states.lost : WORDS.sourcesRunning(good, tiles.length);
}

$("state").lastElementChild.textContent = WORDS.connecting;
const { sources } = await (await fetch("sources")).json();
tiles = sources.map((name) => new Tile(name));
const across = Math.ceil(Math.sqrt(tiles.length));
$("tiles").style.setProperty("--tile", `max(240px, ${Math.floor(92 / across)}%)`);
$("tiles").style.setProperty("--rows", Math.ceil(tiles.length / across));
$("tiles").append(...tiles.map((tile) => tile.element));
tell();
