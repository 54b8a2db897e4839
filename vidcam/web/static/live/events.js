// The list of events, the newest first: those of one source on its own page, and those of all sources beside their tiles.

import { button, make } from "./common.js";
import { WORDS } from "./words.js";

const LISTED = 50;

export class EventList {
  /** Fills the element `root`. `open(event, source)` is called when the user chooses an event; `isOfSeveral` names the source of each. */
  constructor(root, open, { isOfSeveral = false } = {}) {
    Object.assign(this, { open, isOfSeveral });
    this.items = new Map(); // by source and number: {event, source, item}
    this.title = make("h2", "", WORDS.events);
    this.none = make("p", "soft", WORDS.noEvents);
    this.list = make("ol", "events");
    this.title.id = "events-title";
    this.none.id = "no-events";
    this.list.id = "events";
    root.setAttribute("aria-labelledby", this.title.id);
    root.append(this.title, this.none, this.list);
  }

  /** Takes an event that is new or has changed. */
  take(event, source = "") {
    const key = `${source}\n${event.number}`, known = this.items.get(key), item = this.makeItem(event, source);
    if (known) known.item.replaceWith(item);
    else this.list.insertBefore(item, [...this.list.children].find((one) => one.dataset.start <= event.start) ?? null);
    this.items.set(key, { event, source, item });
    while (this.list.children.length > LISTED) this.drop(([, one]) => one.item === this.list.lastChild);
    this.none.hidden = true;
  }

  /** Forgets the events of a source. */
  clear(source = "") {
    this.drop(([, one]) => one.source === source);
    this.none.hidden = this.items.size > 0;
  }

  drop(isOne) {
    for (const [key, { item }] of [...this.items].filter(isOne)) {
      item.remove();
      this.items.delete(key);
    }
  }

  makeItem(event, source) {
    const item = make("li"), open = button("event", "", () => this.open(event, source)), words = make("span", "words");
    const picture = make(event.picture ? "img" : "span", "thumb");
    if (event.picture) Object.assign(picture, { src: pictureOf(event), alt: "" });
    words.append(make("b", "", event.action), make("small", "num", WORDS.eventLine(event)), make("small", "", this.isOfSeveral ? source : event.rule));
    open.title = WORDS.eventTitle(event);
    open.append(picture, words);
    item.dataset.start = event.start;
    item.append(open);
    return item;
  }
}

/** Returns the address of an event's picture. */
export const pictureOf = (event) => `data:image/jpeg;base64,${event.picture}`;
