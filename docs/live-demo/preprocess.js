// From pictures to the input of an exported network, with the arithmetic of vidcam/sampling.py and vidcam/engine/base.py.
// Everything is read from `facts`, what the exported file says about itself (docs/export.md); nothing is fixed here.

/** Rounds to the nearest whole number, halves to the even one, as Python does. */
const round = x => {
  const low = Math.floor(x), rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
};

/** Returns the smallest size of the shape of `size` that is at least as large as `crop`. */
const cover = (size, crop) => {
  const scale = Math.max(crop[0] / size[0], crop[1] / size[1]);
  return size.map((side, axis) => Math.max(crop[axis], round(side * scale)));
};

/** Returns how a picture of [height, width] becomes the network's: `resized`, and `start`, where the crop begins in it, both [y, x]. */
export const geometryOf = ({ resize, crop, max_stretch: stretch }, source) => {
  if (resize === "fit") {
    const scale = Math.min(crop[0] / source[0], crop[1] / source[1]);
    const resized = source.map((side, axis) => Math.max(1, Math.min(crop[axis], round(side * scale * stretch))));
    return { source, resized, crop, mean: true, start: resized.map((side, axis) => Math.floor((side - crop[axis]) / 2)) };
  }
  const [h, w] = source;
  let resized = Array.isArray(resize) ? resize : h <= w ? [resize, Math.trunc(resize * w / h)] : [Math.trunc(resize * h / w), resize];
  if (resized[0] < crop[0] || resized[1] < crop[1]) resized = cover(resized, crop);
  return { source, resized, crop, mean: false, start: resized.map((side, axis) => round((side - crop[axis]) / 2)) };
};

/** Returns for each pixel of the crop along an axis which old pixels it takes and how much of each; none where nothing is. */
const taps = ({ source, resized, crop, start, mean }, axis) => Array.from({ length: crop[axis] }, (_, i) => {
  const at = i + start[axis], old = source[axis], ratio = old / resized[axis];
  if (at < 0 || at >= resized[axis]) return null;
  if (mean && ratio > 1) { // the mean of what lies between the edges of the new pixel
    const low = at * ratio, high = Math.min(low + ratio, old), first = Math.floor(low + 1e-9), weights = [];
    for (let k = first; k < high - 1e-9; k++) weights.push((Math.min(k + 1, high) - Math.max(k, low)) / (high - low));
    return { first, weights };
  }
  const place = Math.min(Math.max((at + 0.5) * ratio - 0.5, 0), old - 1), first = Math.min(Math.floor(place), Math.max(0, old - 2));
  return { first, weights: old > 1 ? [1 - (place - first), place - first] : [1] };
});

/** Makes pictures of one size into crops; `facts.padding` fills what lies beside the picture. */
export class Cutter {
  constructor(facts, source) {
    this.geometry = geometryOf(facts, source);
    this.padding = facts.padding;
    this.rows = taps(this.geometry, 0);
    this.columns = taps(this.geometry, 1);
  }

  /** Returns the crop (H, W, 3) as bytes, of a picture as RGBA bytes. */
  cut(rgba) {
    const { crop: [height, width], source: [, stride] } = this.geometry, out = new Uint8Array(height * width * 3).fill(this.padding);
    for (let y = 0; y < height; y++) {
      const down = this.rows[y];
      if (!down) continue;
      for (let x = 0; x < width; x++) {
        const across = this.columns[x];
        if (!across) continue;
        let r = 0, g = 0, b = 0;
        for (let i = 0; i < down.weights.length; i++) {
          let at = 4 * ((down.first + i) * stride + across.first);
          for (let k = 0; k < across.weights.length; k++, at += 4) {
            const weight = down.weights[i] * across.weights[k];
            r += weight * rgba[at];
            g += weight * rgba[at + 1];
            b += weight * rgba[at + 2];
          }
        }
        const to = 3 * (y * width + x);
        out[to] = Math.round(r);
        out[to + 1] = Math.round(g);
        out[to + 2] = Math.round(b);
      }
    }
    return out;
  }
}

/** Returns crops (H, W, 3), one for each frame of a clip, as the network's input (3, T, H, W). */
export const normalise = ({ mean, scale }, crops) => {
  const pixels = crops[0].length / 3, out = new Float32Array(3 * crops.length * pixels);
  for (let c = 0, to = 0; c < 3; c++) {
    const gain = 1 / scale[c], shift = mean[c] / scale[c];
    for (const crop of crops) for (let i = c; i < crop.length; i += 3) out[to++] = crop[i] * gain - shift;
  }
  return out;
};

/** Returns for each time which of the increasing `times` is on the screen then: the last that is not later (vidcam's TOLERANCE_S). */
export const shownAt = (times, wanted) => {
  let i = 0;
  return wanted.map(time => {
    while (i + 1 < times.length && times[i + 1] <= time + 0.0006) i++;
    return i;
  });
};

/** Returns where the cells of a map lie in the picture: centres `ys`, `xs` in its pixels, and the box [y0, x0, y1, x1) that is seen. */
export const placeOf = ({ cells }, { source, resized, crop, start }) => {
  const scale = source.map((side, axis) => side / resized[axis]);
  const centres = ([offset, stride, count], axis) => Array.from({ length: count }, (_, j) => (offset + stride * j + start[axis] + 0.5) * scale[axis] - 0.5);
  const low = [0, 1].map(axis => Math.max(start[axis], 0) * scale[axis]);
  const high = [0, 1].map(axis => Math.min(start[axis] + crop[axis], resized[axis]) * scale[axis]);
  return { ys: centres(cells.y, 0), xs: centres(cells.x, 1), seen: [...low, ...high] };
};

/** Returns the probabilities of logits. */
export const probabilities = ({ temperature, multi_label: own }, logits) => {
  const z = Array.from(logits, v => v / temperature);
  if (own) return z.map(v => 0.5 * (1 + Math.tanh(v / 2)));
  const top = Math.max(...z), e = z.map(v => Math.exp(v - top)), sum = e.reduce((a, b) => a + b);
  return e.map(v => v / sum);
};
