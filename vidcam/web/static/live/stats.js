// Statistics for tests and benchmarks, as `window.vidcamStats`.

const MOST = 6000;

/**
 * `pictures`, `updates`: when pictures were shown and evidence came, in milliseconds; `ages`: of the evidence at each picture.
 * `drawn`: what the overlay shows and how often it was drawn, with `settled` once the heat has stopped gliding.
 * `evidence`: the number of the newest update; `bytes`: its size. `held`: the picture that is shown while paused.
 * `received`: how many pictures have come from the server; `shown`: the time of the picture on the screen.
 */
export const stats = (window.vidcamStats = {
  pictures: [], updates: [], ages: [], bytes: 0, drawn: { times: 0 }, held: null, received: 0, shown: null,
});

/** Adds a value to one of the lists; the oldest ones go. */
export const tally = (list, value) => {
  list.push(value);
  if (list.length > MOST) list.splice(0, MOST / 2);
};
