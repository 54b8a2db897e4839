// Holds pictures back until their evidence is there, so that both can be shown in step.

const LONGEST_S = 3; // evidence that is older is not waited for
const EASE = 0.03; // of the way from the delay to the present age, for each picture: the delay rises at once and falls slowly

export class Delay {
  constructor() {
    this.pictures = []; // {time, image}, in the order of their times
    this.delay = 0;
  }

  /** Takes a picture; `image` is closed when it is no longer needed. */
  add(time, image) {
    if (time < this.pictures.at(-1)?.time) this.clear();
    this.pictures.push({ time, image });
  }

  /** Returns the picture to show, given the time of the newest evidence; null if it is the one that was returned before. */
  next(evidence) {
    const newest = this.pictures.at(-1);
    if (!newest) return null;
    const age = Math.min(LONGEST_S, Math.max(0, newest.time - evidence));
    this.delay = age > this.delay ? age : this.delay + (age - this.delay) * EASE;
    const due = newest.time - this.delay + 1e-6;
    let last = -1;
    while (last + 1 < this.pictures.length && this.pictures[last + 1].time <= due) last += 1;
    if (last < 0) return null;
    for (const { image } of this.pictures.splice(0, last)) image.close();
    const [picture] = this.pictures;
    if (picture.isShown) return null;
    picture.isShown = true;
    return picture;
  }

  clear() {
    for (const { image } of this.pictures) image.close();
    this.pictures = [];
    this.delay = 0;
  }
}
