// The last minute: thinned out pictures and all evidence, so that the user can look back without asking the server.

const PICTURES_A_SECOND = 12.5;

export class Memory {
  constructor(keep_s) {
    this.keep_s = keep_s;
    this.pictures = []; // {time, blob}
    this.evidence = []; // as it came from the server
  }

  clear() {
    this.pictures = [];
    this.evidence = [];
  }

  addPicture(time, blob) {
    const last = this.pictures.at(-1);
    if (last && time < last.time) this.clear();
    if (last && time < last.time + 1 / PICTURES_A_SECOND - 0.005) return;
    this.pictures.push({ time, blob });
    drop(this.pictures, time - this.keep_s);
  }

  addEvidence(news) {
    if (news.time < (this.evidence.at(-1)?.time ?? -Infinity)) this.evidence = [];
    this.evidence.push(news);
    drop(this.evidence, news.time - this.keep_s);
  }

  /** Adds evidence from before the page was opened. */
  addHistory(items) {
    const first = this.evidence[0]?.time ?? Infinity;
    this.evidence = items.filter((news) => news.time < first).concat(this.evidence);
  }

  get first() { return Math.min(this.pictures[0]?.time ?? Infinity, this.evidence[0]?.time ?? Infinity); }
  get last() { return Math.max(this.pictures.at(-1)?.time ?? -Infinity, this.evidence.at(-1)?.time ?? -Infinity); }

  /** Returns the picture that was on the screen at `time`, and the evidence nearest to it. */
  at(time) {
    const picture = this.pictures[Math.max(0, after(this.pictures, time + 1e-6) - 1)];
    return { picture, news: this.nearest(picture?.time ?? time) };
  }

  /** Returns the evidence nearest to a time. */
  nearest(time) {
    const i = after(this.evidence, time), before = this.evidence[i - 1], next = this.evidence[i];
    return !before || (next && next.time - time < time - before.time) ? next : before;
  }

  /** Returns the time of the picture that is `steps` pictures away from the one at `time`. */
  step(time, steps) {
    if (!this.pictures.length) return time;
    const i = after(this.pictures, time + 1e-6) - 1 + steps;
    return this.pictures[Math.max(0, Math.min(this.pictures.length - 1, i))].time;
  }
}

/** Returns the index of the first item at or after `time`. */
function after(items, time) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function drop(items, before) {
  let n = 0;
  while (n < items.length && items[n].time < before) n++;
  if (n) items.splice(0, n);
}
