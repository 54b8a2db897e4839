// The player: a video as it is, with the evidence drawn over it while it plays. Pages put this one file in or import it.
//
//   createPlayer(root, data, part): builds the player inside the element `root`.
//     data: what vidcam/reports/player_data.py makes; part(name): a promise of the bytes of that name, or of null.
//   Heat: draws evidence over a picture, with the arithmetic of vidcam's own pictures.

// --- words: all that the player says or shows

export const WORDS = {
  video: "The video", lost: name => `The video was not found beside this page${name ? ` (${name})` : ""}: the evidence is drawn without it.`,
  playing: "Playback", play: "Play (Space)", pause: "Pause (Space)", back: "One frame back (,)", next: "One frame forward (.)",
  speed: "Speed", speedTitle: "Speed (< and >)", speedSaid: rate => `${rate} times speed`, loop: "Loop the segment here ([ and ] set your own loop)",
  loops: (from, to) => `Loop from ${from} to ${to}`, noLoop: "No loop", sound: "Sound (M)", full: "Full screen (F)",
  now: (label, probability) => `Now: ${label}, ${probability}`, nowTitle: "The answer of the model's window around this moment", noAnswer: "no answer here",
  frame: (number, count) => `frame ${number} of ${count}`,
  evidenceFor: "Evidence for (in % of the strongest)", theAnswer: "the answer of the moment", theAnswerTitle: "What the model answers at each moment (0)",
  saidAnswer: "Evidence for the answer at each moment", saidFor: label => `Evidence for ${label}`,
  ofStrongest: "Percent of the strongest evidence in this video, for a class or against it", momentShare: share => `${share} of the strongest`, notSeen: "not seen",
  look: "How the evidence is drawn", style: "Style", styleTitle: "Style (S)", saidStyle: name => `Style: ${name}`,
  opacity: "Opacity", opacityTitle: "Opacity of the strongest evidence (O)",
  threshold: "Only the strongest", thresholdTitle: "Show only evidence from this share of full colour on; what is a little weaker fades out",
  against: "Evidence against", againstTitle: "Evidence against the class, in a second colour (A)",
  saidAgainst: "Evidence against the class is shown too", saidOnlyFor: "Only evidence for the class is shown",
  wipe: "Before / after", wipeTitle: "Before and after, with a line to move (W)", wipeLine: "Before and after: how much of the picture is without evidence",
  original: "Hold to see the original", originalTitle: "Hold to see the original (H)",
  band: "The prediction over time", bandPart: (label, probability) => `${label}, ${probability} on average here`, unseenTime: "No window of the model covers this time",
  time: "Time in the video", zoom: "Zoom of the timeline", zoomOut: "Zoom out (−)", zoomIn: "Zoom in (+)",
  pointHere: "Point at the picture, or tap it, to see the evidence at that place over time.", notLooked: "The model did not look at this place.",
  place: (label, now, most, at) => `Evidence for ${label} here: ${now} of the strongest in this video; at most ${most}, at ${at}.`,
  placeUnseen: (label, most, at) => `No window covers this time. Evidence for ${label} here: at most ${most} of the strongest in this video, at ${at}.`,
  placeOthers: others => ` Other classes here now: ${others}.`,
  moment: (time, label) => `The picture at ${time} with the evidence for ${label}`, momentTitle: "Show this moment",
  legend: "What the picture shows", scale: ["no evidence", "strongest"], scaleSigned: ["against", "for"], unseen: "the model did not look", line: "now", diamond: "peaks of the evidence",
  help: "Help (?)", helpName: "Help", pictureHead: "The picture", keysHead: "Keys", close: "Close",
  picture: [
    ["Colour", "how much this place speaks for the class, in percent of the strongest in this video"], ["Grey, hatched", "the model did not look there"],
    ["Band", "what the model answers over time"], ["Curves", "the evidence of the whole picture at each moment"],
    ["Shaded", "stretches in which the evidence lasts"], ["Diamonds", "peaks of the evidence"], ["Line", "now"],
  ],
  keys: [
    ["Space or K", "play or pause"], ["J, L", "play backwards, forwards; again for faster"], [", and .", "one frame back, one forward"],
    ["← →", "one second; with Shift a tenth"], ["Home, End", "beginning, end"], ["1 to 9", "evidence for that class"],
    ["0", "evidence for the answer at each moment"], ["H, held", "see the original"], ["S", "next style"], ["A", "evidence against the class too"],
    ["O, Shift+O", "opacity up, down"], ["W", "before and after, with a line to move"], ["[ and ]", "loop from here, to here; Esc ends it"],
    ["+ and −", "zoom the timeline"], ["< and >", "slower, faster"], ["P", "evidence over time at the hottest place; Shift+Alt+arrows move it"],
    ["M, F", "sound, full screen"], ["?", "this help"],
  ],
  styles: { heat: "Heat", contour: "Contours", spotlight: "Spotlight", "side-by-side": "Side by side" },
};

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const last = list => list[list.length - 1];

/** Returns the index of the last of the increasing `values` that is at most `x`, at least 0. */
const indexAt = (values, x) => {
  let low = 0, high = values.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; values[middle] <= x ? low = middle : high = middle - 1; }
  return low;
};

/** Makes an element; a property that is no property of elements becomes an attribute. */
const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) name in element ? element[name] = value : element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const SVG = "http://www.w3.org/2000/svg";
const makeSvg = (tag, attributes, ...children) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const two = n => String(n).padStart(2, "0");

/** A time in seconds as text: "4.2 s", "1:04.2" or "1:02:05"; with two decimals "4.23 s". */
const timeText = (s, decimals = 1) => {
  const unit = 10 ** decimals, parts = Math.round(Math.max(0, s) * unit), minutes = Math.floor(parts / (60 * unit)), rest = parts % (60 * unit) / unit;
  if (!minutes) return `${rest.toFixed(decimals)} s`;
  if (minutes < 60) return `${minutes}:${rest.toFixed(decimals).padStart(3 + decimals, "0")}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${decimals > 1 ? rest.toFixed(decimals).padStart(3 + decimals, "0") : two(Math.floor(rest))}`;
};
const wholePercent = share => Number.isNaN(share) ? WORDS.notSeen : `${Math.round(100 * share) || 0} %`.replace("-", "−");
const percent = p => p > 0 && p < .001 ? "< 0.1 %" : p >= .9995 ? "> 99.9 %" : `${(100 * p).toFixed(1)} %`;

// --- bytes

/** Returns the bytes of a base64 text; a long one is decoded in pieces. */
export const decode = text => {
  const pieces = [], size = 1 << 20;
  for (let at = 0; at < text.length; at += size) pieces.push(Uint8Array.from(atob(text.slice(at, at + size)), c => c.charCodeAt(0)));
  if (pieces.length === 1) return pieces[0];
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) { bytes.set(piece, at); at += piece.length; }
  return bytes;
};

/** Returns zlib-compressed bytes as they were. */
export const inflate = async bytes => {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

/** Returns the seconds that were sent as `first` and the microseconds from each to the next. */
const unpackTimes = (first, bytes) => {
  const steps = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), times = new Float64Array(bytes.byteLength / 8 + 1);
  let sum = Math.round(first * 1e6);
  times[0] = first;
  for (let i = 1; i < times.length; i++) times[i] = (sum += steps.getFloat64(8 * (i - 1), true)) / 1e6;
  return times;
};

// --- evidence

/**
 * The evidence for one label in one crop: maps over time on the model's own grid. A byte stands for (byte - zero) * step of the
 * scale; 0 marks a map that no clip covers (vidcam/evidence/packing.py).
 */
export class Track {
  constructor({ label, shape, zero, step, ys, xs, seen }, times, bytes) {
    Object.assign(this, { label, zero, step, ys, xs, seen, times, bytes });
    const cells = this.cells = shape[1] * shape[2];
    for (let i = cells; i < bytes.length; i++) bytes[i] += bytes[i - cells]; // each map was sent as its difference to the one before
  }

  /** Returns the two maps next to a time and the weight of the second, or null if no clip covers the time. */
  near(time) {
    const { times, bytes, cells } = this;
    let low = indexAt(times, time), high = Math.min(low + 1, times.length - 1);
    const share = high > low ? clamp((time - times[low]) / (times[high] - times[low]), 0, 1) : 0;
    if (share === 0) high = low;
    if (share === 1) low = high;
    return bytes[low * cells] && bytes[high * cells] ? { low: low * cells, high: high * cells, share } : null;
  }

  /** Returns the largest evidence of a cell, for the label or against it, in multiples of the scale. */
  strongest() {
    let most = 0;
    for (const byte of this.bytes) if (byte) most = Math.max(most, Math.abs(byte - this.zero));
    return most * this.step;
  }

  /** Returns the map at a time in multiples of the scale, or null if no clip covers it. */
  at(time) {
    const near = this.near(time);
    if (!near) return null;
    const { bytes, cells, zero, step } = this, { low, high, share } = near, values = new Float32Array(cells);
    for (let i = 0; i < cells; i++) values[i] = (bytes[low + i] * (1 - share) + bytes[high + i] * share - zero) * step;
    return values;
  }
}

/** Returns for each place the index of the centre before it and the fraction of the way to the next; held beyond the outermost. */
const between = (centres, places) => {
  const index = new Uint16Array(places.length), share = new Float32Array(places.length);
  places.forEach((place, i) => {
    const j = index[i] = Math.min(indexAt(centres, place), Math.max(0, centres.length - 2));
    const gap = centres.length > 1 ? centres[j + 1] - centres[j] : 0;
    share[i] = gap > 0 ? clamp((place - centres[j]) / gap, 0, 1) : 0;
  });
  return { index, share };
};

/** Returns weights that fade a crop out towards the edges it shares with others, as vidcam/evidence/heat.py does. */
const fade = (places, low, high, outerLow, outerHigh) => places.map(at => {
  const left = low > outerLow + 1e-6 ? at - low : Infinity, right = high < outerHigh - 1e-6 ? high - at : Infinity;
  return Math.max(0, Math.min(left, right, high - low)) / (high - low);
});

const pitch = centres => Math.min(...centres.slice(1).map((c, i) => c - centres[i]), Infinity);
const ramp = strength => Math.sin(Math.PI / 2 * strength);
const sameBoxes = (a, b) => a.length === b.length && a.every((box, i) => box.every((edge, k) => edge === b[i][k]));

/**
 * Draws evidence over a picture. `drawing` has the colour tables and constants of vidcam/render; `size` is the picture's [H, W],
 * `frameSize` the part of it that the canvas shows. A patch is {ys, xs, seen, values}: a crop's map and where its cells lie.
 */
export class Heat {
  constructor(drawing, size, frameSize = size) {
    Object.assign(this, { drawing: { edge: 0.2, full: 0.62, ...drawing }, size, frameSize }); // the app keeps results of earlier versions
    this.tables = { plain: decode(drawing.colours.plain), signed: decode(drawing.colours.signed) };
    this.small = document.createElement("canvas");
    this.grids = new Map();
    this.luts = new Map();
  }

  /** Draws the patches over `canvas`, whatever its size; null if no clip covers the time. look: style, opacity, threshold, signed. */
  draw(canvas, patches, look) {
    const context = canvas.getContext("2d"), [height, width] = this.frameSize;
    const sx = canvas.width / width, sy = canvas.height / height;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const seen = (patches ?? []).map(p => p.seen);
    if (seen.length) {
      const boxes = seen.map(box => this.pixels(box, sx, sy));
      const [y0, x0, y1, x1] = [0, 1, 2, 3].map(i => (i < 2 ? Math.min : Math.max)(...boxes.map(b => b[i])));
      context.save();
      context.beginPath();
      context.rect(x0, y0, x1 - x0, y1 - y0);
      if (look.style === "spotlight") { // what lies outside of the box is dimmed as well
        const outside = new Path2D();
        outside.rect(0, 0, canvas.width, canvas.height);
        outside.rect(x0, y0, x1 - x0, y1 - y0);
        context.fillStyle = `rgba(0, 0, 0, ${(1 - this.drawing.dimmed) * look.strength})`;
        context.fill(outside, "evenodd");
      }
      context.clip();
      const field = this.field(patches);
      if (look.style === "contour") this.contours(context, field, look, sx, sy);
      else this.paint(context, field, look, sx, sy);
      context.restore();
    }
    this.markUnseen(context, seen, sx, sy);
  }

  /** Returns the pixels [y0, x0, y1, x1) of the canvas whose centres lie in a box. */
  pixels(box, sx, sy) {
    const [height, width] = this.size;
    return box.map((edge, i) => Math.ceil(clamp(edge, 0, i % 2 ? width : height) * (i % 2 ? sx : sy) - 0.5));
  }

  /** Returns the signed evidence in multiples of the scale at the centres of blocks of pixels. */
  field(patches) {
    const { w, h, places } = this.grid(patches), values = new Float32Array(w * h), line = new Float32Array(w);
    const several = patches.length > 1, weight = several ? new Float32Array(w * h) : null;
    patches.forEach((patch, n) => {
      const { down, across, gainY, gainX } = places[n], cells = patch.xs.length, bottom = patch.ys.length - 1;
      for (let i = 0; i < h; i++) {
        if (several && !gainY[i]) continue;
        const above = down.index[i] * cells, below = Math.min(down.index[i] + 1, bottom) * cells, dy = down.share[i];
        for (let k = 0; k < cells; k++) line[k] = patch.values[above + k] * (1 - dy) + patch.values[below + k] * dy;
        for (let k = 0, at = i * w; k < w; k++, at++) {
          const j = across.index[k], dx = across.share[k];
          const value = cells > 1 ? line[j] * (1 - dx) + line[j + 1] * dx : line[0];
          if (!several) { values[at] = value; continue; }
          const gain = gainY[i] * gainX[k];
          values[at] += value * gain;
          weight[at] += gain;
        }
      }
    });
    if (several) for (let i = 0; i < values.length; i++) if (weight[i]) values[i] /= weight[i];
    return { values, w, h };
  }

  /** Returns the blocks of the picture, an eighth of a cell wide and at most 4 pixels (half of it for several crops), and where they lie between the cells. */
  grid(patches) {
    const key = patches.map(p => `${p.seen};${p.ys.length};${p.xs.length}`).join("|");
    if (this.grids.has(key)) return this.grids.get(key);
    const [height, width] = this.size, cell = Math.min(pitch(patches[0].ys), pitch(patches[0].xs));
    const step = Math.max(Math.floor(clamp(cell / 8, 1, 4) / (patches.length > 1 ? 2 : 1)), Math.floor(Math.max(height, width) / 480), 1);
    const h = Math.ceil(height / step), w = Math.ceil(width / step);
    const ys = Array.from({ length: h }, (_, i) => (i + 0.5) * height / h), xs = Array.from({ length: w }, (_, i) => (i + 0.5) * width / w);
    const outer = [0, 1, 2, 3].map(i => (i < 2 ? Math.min : Math.max)(...patches.map(p => p.seen[i])));
    const places = patches.map(({ ys: rows, xs: columns, seen: [y0, x0, y1, x1] }) => ({
      down: between(rows, ys.map(y => y - 0.5)),
      across: between(columns, xs.map(x => x - 0.5)),
      gainY: fade(ys, y0, y1, outer[0], outer[2]),
      gainX: fade(xs, x0, x1, outer[1], outer[3]),
    }));
    if (this.grids.size > 16) this.grids.clear();
    const grid = { w, h, places };
    this.grids.set(key, grid);
    return grid;
  }

  /** Returns the table from 256 levels to colours, as 32-bit RGBA. */
  lut({ style, opacity, strength, threshold, signed }) {
    const key = [style, opacity, strength, threshold, signed].join();
    if (this.luts.has(key)) return this.luts.get(key);
    const bytes = new Uint8ClampedArray(1024), table = signed ? this.tables.signed : this.tables.plain;
    for (let i = 0; i < 256; i++) {
      const evidence = signed ? Math.min(Math.abs(i - 128), 127) / 127 : i / 255, shown = evidence * clamp(1 + (evidence - threshold) / Math.max(Math.min(this.drawing.edge, threshold), 1e-9), 0, 1); // as _above of vidcam/render/overlay.py
      if (style === "spotlight") bytes[4 * i + 3] = Math.round(255 * strength * (1 - this.drawing.dimmed) * (1 - ramp(shown)));
      else {
        bytes.set(table.subarray(3 * i, 3 * i + 3), 4 * i);
        bytes[4 * i + 3] = 255 - Math.round(255 * (1 - opacity * ramp(shown)));
      }
    }
    if (this.luts.size > 64) this.luts.clear();
    const lut = new Uint32Array(bytes.buffer);
    this.luts.set(key, lut);
    return lut;
  }

  paint(context, { values, w, h }, look, sx, sy) {
    const signed = look.signed && look.style !== "spotlight", lut = this.lut({ ...look, signed }), small = this.small;
    small.width = w;
    small.height = h;
    const inner = small.getContext("2d"), image = inner.createImageData(w, h), out = new Uint32Array(image.data.buffer);
    const factor = signed ? 127 : 255, zero = signed ? 128 : 0, least = signed ? -1 : 0;
    for (let i = 0; i < values.length; i++) out[i] = lut[Math.round(zero + factor * clamp(values[i], least, 1))];
    inner.putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "low"; // linear, as in the MP4 file
    context.drawImage(small, 0, 0, this.size[1] * sx, this.size[0] * sy);
  }

  contours(context, field, look, sx, sy) {
    const { contours, contour_colours: colours } = this.drawing, stroke = Math.max(1, Math.sqrt(context.canvas.width * context.canvas.height) / 700);
    context.lineJoin = context.lineCap = "round";
    context.globalAlpha = look.strength;
    for (const sign of look.signed ? [1, -1] : [1]) {
      contours.forEach((level, i) => {
        if (level < look.threshold) return;
        const path = crossing(field, sign, level, this.size[1] * sx / field.w, this.size[0] * sy / field.h);
        context.strokeStyle = "rgba(0, 0, 0, 0.45)";
        context.lineWidth = 4 * stroke;
        context.stroke(path);
        context.strokeStyle = `rgb(${colours[sign < 0 ? "against" : look.signed ? "for" : "plain"][i]})`;
        context.lineWidth = 2 * stroke;
        context.stroke(path);
      });
    }
    context.globalAlpha = 1;
  }

  /** Darkens and hatches what no box covers, with a thin line around the boxes. */
  markUnseen(context, seen, sx, sy) {
    const { width, height } = context.canvas, mark = this.mark;
    if (!mark || mark.width !== width || mark.height !== height || !sameBoxes(mark.seen, seen)) {
      this.mark = { width, height, seen, image: this.makeMark(width, height, seen.map(box => this.pixels(box, sx, sy))) };
    }
    if (this.mark.image) context.drawImage(this.mark.image, 0, 0);
  }

  makeMark(width, height, boxes) {
    if (boxes.some(([y0, x0, y1, x1]) => y0 <= 0 && x0 <= 0 && y1 >= height && x1 >= width)) return null;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d"), image = context.createImageData(width, height), data = image.data;
    const unit = Math.max(1, Math.sqrt(height * width) / 720), period = 9 * unit, stroke = 1.1 * unit, edge = Math.round(unit);
    const alpha = 255 - Math.round(255 * this.drawing.unseen_dimmed);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at += 4) {
        let near = false, inside = false;
        for (const [y0, x0, y1, x1] of boxes) {
          inside ||= y >= y0 && y < y1 && x >= x0 && x < x1;
          near ||= y >= y0 - edge && y < y1 + edge && x >= x0 - edge && x < x1 + edge;
        }
        if (inside) continue;
        const across = (x + y) / Math.SQRT2, line = clamp(stroke / 2 + 0.5 - Math.abs(across % period - period / 2), 0, 1);
        data[at] = data[at + 1] = data[at + 2] = near ? 120 * 255 / 165 : 34 * line * 255 / alpha;
        data[at + 3] = near ? 165 : alpha;
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }
}

/** Returns the line along which `sign` times the field crosses `level`, as a path (marching squares). */
const crossing = ({ values, w, h }, sign, level, sx, sy) => {
  const path = new Path2D(), at = (y, x) => sign * values[y * w + x] - level;
  for (let y = 0; y < h - 1; y++) {
    for (let x = 0; x < w - 1; x++) {
      const a = at(y, x), b = at(y, x + 1), c = at(y + 1, x + 1), d = at(y + 1, x);
      const signs = (a > 0) + (b > 0) + (c > 0) + (d > 0);
      if (signs === 0 || signs === 4) continue;
      const ends = [];
      if (a > 0 !== b > 0) ends.push([x + a / (a - b), y]);
      if (b > 0 !== c > 0) ends.push([x + 1, y + b / (b - c)]);
      if (c > 0 !== d > 0) ends.push([x + d / (d - c), y + 1]);
      if (d > 0 !== a > 0) ends.push([x, y + a / (a - d)]);
      for (let i = 0; i + 1 < ends.length; i += 2) {
        path.moveTo((ends[i][0] + 0.5) * sx, (ends[i][1] + 0.5) * sy);
        path.lineTo((ends[i + 1][0] + 0.5) * sx, (ends[i + 1][1] + 0.5) * sy);
      }
    }
  }
  return path;
};

// --- the player

const ICONS = {
  play: "M7 4v16l13-8z", pause: "M6 4h4v16H6zM14 4h4v16h-4z", back: "M18 5v14L8 12zM5 5h2v14H5z", next: "M6 5v14l10-7zM17 5h2v14h-2z",
  loop: "M7 7h10v3l4-4-4-4v3H5v6h2zM17 17H7v-3l-4 4 4 4v-3h12v-6h-2z", sound: "M4 9v6h4l5 5V4L8 9zM16 8v8a4.5 4.5 0 0 0 0-8z",
  muted: "M4 9v6h4l5 5V4L8 9zM16 9l5 6M21 9l-5 6", full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
};
const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2, 4];
const AUTO = -1; // the class that the model favours at each moment
const icon = name => makeSvg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: name === "full" || name === "muted" ? "line" : "" }, makeSvg("path", { d: ICONS[name] }));
const button = (label, content, act, more = {}) => {
  const made = make("button", { type: "button", title: label, "aria-label": label, ...more }, content);
  made.addEventListener("click", act);
  return made;
};

/**
 * Builds a player inside `root` and returns it (also as `root.player`): {seek(time), choose(label index), look(changes), ready, …}.
 * options.hash: whether the address says time and class; options.keys: whether the whole page's keys are the player's;
 * options.keyRows: the list of keys that "?" shows; options.painted: called after each picture.
 */
export const createPlayer = (root, data, part, { hash = true, keys = true, keyRows = WORDS.keys, painted = () => {} } = {}) => {
  const { chart, labels, size, video: source } = data, [height, width] = data.frame_size;
  const automatic = labels.length > 1 && data.answers.length > 0;
  const withHeat = data.tracks.length > 0; // without, the evidence is drawn into the video already
  const heat = new Heat(data.drawing, size, data.frame_size);
  const look = { threshold: 0, ...data.look };
  const state = { time: chart.t0, frame: chart.t0, chosen: automatic ? AUTO : 0, hidden: false, wipe: null, loop: null, place: null, zoom: 1, poster: true };
  const strongest = chart.curves.flat().reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0) || 1; // evidence per second that is shown as 100 %
  const probs = chart.probs ?? chart.band.map(span => [span.start, span.prob]); // the app keeps results of earlier versions
  const probStarts = probs.map(([start]) => start);
  let tracks = [], frames = null, strongestPlace = null, shift = -data.offset_s, pending = null, driven = 0, drives = 0, isLost = false, hovering = null, marked = null;

  // --- the parts of the page
  const video = make("video", { playsInline: true, preload: "auto", muted: !source.sound, "aria-label": WORDS.video });
  const canvas = make("canvas", { class: "vp-heat", "aria-hidden": "true" }), plain = make("canvas", { class: "vp-plain", "aria-hidden": "true" });
  const marker = make("i", { class: "vp-marker off" }), lost = make("p", { class: "vp-lost off" });
  const wipe = make("input", { type: "range", class: "vp-wipe off", min: 0, max: 100, step: 1, value: 50, "aria-label": WORDS.wipeLine });
  const main = make("div", { class: "vp-main" }, video, canvas, marker, wipe, lost);
  const stage = make("div", { class: "vp-stage" }, make("div", { class: "vp-view vp-copy" }, plain), make("div", { class: "vp-view" }, main));
  const live = make("p", { class: "vp-live", "aria-live": "polite" });
  const say = text => live.textContent = text;
  root.classList.add("vp");
  root.style.setProperty("--vp-aspect", width / height);

  // --- time
  const toMedia = t => t + shift, fromMedia = t => t - shift;
  const labelAt = t => state.chosen === AUTO ? last(data.answers.filter((a, i) => !i || a[0] <= t))[1] : state.chosen;
  /** Returns the label and the probability of the window that decides at a time, as the MP4 and the CSV have them; null if none does. Starts are rounded. */
  const answerAt = t => {
    const span = chart.band.find(s => t >= s.start - 1e-4 && (t < s.end || s.end === chart.t1 && t === chart.t1));
    return span ? { label: span.label, prob: span.prob === null ? null : probs[indexAt(probStarts, t)][1] } : null; // those of several models name theirs in the label
  };
  const patchesAt = (t, label = labelAt(t)) => {
    const patches = [];
    for (const track of tracks) if (track.label === label) {
      const values = track.at(t);
      if (values) patches.push({ ys: track.ys, xs: track.xs, seen: track.seen, values });
    }
    return patches;
  };

  const lookNow = () => ({ ...look, strength: Math.min(1, look.opacity / heat.drawing.full), opacity: Math.min(1, look.opacity) });
  const paint = () => {
    const ratio = Math.min(devicePixelRatio || 1, 2), box = main.getBoundingClientRect();
    const w = Math.max(1, Math.min(1920, Math.round(box.width * ratio))), h = Math.max(1, Math.round(w * height / width));
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    if (!withHeat || !tracks.length) return;
    canvas.style.visibility = state.hidden ? "hidden" : "";
    canvas.style.clipPath = state.wipe === null ? "" : `inset(0 0 0 ${state.wipe}%)`;
    heat.draw(canvas, patchesAt(state.frame), lookNow());
    if (look.style === "side-by-side" && video.readyState > 1) { // else the picture that is there stays until the next one has come
      Object.assign(plain, { width: w, height: h });
      plain.getContext("2d").drawImage(video, 0, 0, w, h);
    }
    painted();
  };

  const present = media => {
    state.frame = fromMedia(media);
    if (!driven && !video.seeking && pending === null) state.time = state.frame;
    keepInLoop();
    paint();
    showTime();
  };
  const keepInLoop = () => {
    const [start, end] = state.loop ?? [chart.t0, chart.t1];
    if (video.paused || state.frame < end) return;
    if (state.loop) go(start); else if (state.frame > end + 0.05) video.pause(); // the video goes on, the analysis does not
  };

  const go = t => {
    state.time = clamp(t, chart.t0, chart.t1);
    state.poster = false;
    showTime();
    if (video.error || !video.readyState) {
      state.frame = state.time;
      pending = state.time;
      paint();
    } else if (video.seeking) pending = state.time;
    else {
      pending = null; // of a seek that has ended, though its event is still to come
      video.currentTime = toMedia(state.time);
    }
  };
  video.addEventListener("loadedmetadata", () => { // a video with the evidence drawn into it has a panel too
    if (!withHeat && video.videoWidth) root.style.setProperty("--vp-aspect", video.videoWidth / video.videoHeight);
  });
  video.addEventListener("seeked", () => {
    if (pending !== null) { const t = pending; pending = null; video.currentTime = toMedia(t); return; }
    if (!video.requestVideoFrameCallback) present(video.currentTime);
    else if (look.style === "side-by-side") paint(); // of a seek to the same picture no callback tells
    showTime();
    writeHash();
  });

  /** Moves the time `speed` times as fast as a clock, backwards if that is negative: a video cannot do that, and a lost one does nothing. */
  const drive = speed => {
    const running = driven !== 0;
    driven = speed;
    if (speed) state.poster = false;
    showPlaying();
    if (running || !driven) return;
    let before = null;
    const mine = ++drives;
    const tick = now => {
      if (!driven || mine !== drives) return; // it has stopped, and maybe begun again
      if (before !== null && !video.seeking) {
        const [start, end] = state.loop ?? [chart.t0, chart.t1], t = state.time + driven * (now - before) / 1000, isOver = driven > 0 ? t >= end : t <= start;
        go(!isOver ? t : driven > 0 && !state.loop ? end : start);
        if (isOver && (driven < 0 || !state.loop)) drive(0);
        before = now;
      }
      before ??= now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  };
  const play = () => {
    drive(0);
    if (state.poster || state.time >= chart.t1 - 0.02) go(state.loop ? state.loop[0] : chart.t0);
    if (isLost) drive(video.playbackRate); else video.play().catch(() => {});
  };
  const toggle = () => { driven ? drive(0) : video.paused ? play() : video.pause(); };
  const rewind = () => {
    video.pause();
    drive(driven < 0 ? Math.max(-8, 2 * driven) : -1);
  };
  const forward = () => {
    if (driven < 0 || video.paused && !driven) return play();
    setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, SPEEDS.indexOf(video.playbackRate) + 1)] ?? 1);
  };
  const step = by => {
    drive(0);
    video.pause();
    if (!frames) return go(state.time + by / 25);
    const i = clamp(indexAt(frames, state.time + 1e-4) + by, 0, frames.length - 1);
    const end = frames[i + 1] ?? frames[i] + 0.02;
    go((frames[i] + end) / 2); // the middle of the frame, so that rounding cannot miss it
    state.time = frames[i];
  };
  const setSpeed = rate => {
    video.playbackRate = rate;
    if (driven > 0) driven = rate;
    speed.value = rate;
    say(WORDS.speedSaid(rate));
  };

  // --- the bar under the picture
  const playButton = button(WORDS.play, icon("play"), toggle, { class: "vp-play" });
  const now = make("span", { class: "vp-name", title: WORDS.nowTitle });
  const clockTime = make("span"), clockFrame = make("small", { class: "off" });
  const clock = make("output", { class: "vp-clock num", "aria-live": "off" }, clockTime, " ", clockFrame);
  const speed = make("select", { "aria-label": WORDS.speed, title: WORDS.speedTitle }, ...SPEEDS.map(rate => make("option", { value: rate, textContent: `${rate} ×`, selected: rate === 1 })));
  speed.addEventListener("change", () => setSpeed(Number(speed.value)));
  const loopButton = button(WORDS.loop, icon("loop"), () => toggleLoop(), { "aria-pressed": "false" });
  const soundButton = button(WORDS.sound, icon("sound"), () => toggleSound(), { "aria-pressed": "true", hidden: !source.sound });
  const fullButton = button(WORDS.full, icon("full"), () => toggleFull(), { hidden: !document.fullscreenEnabled });
  const rowsOf = rows => make("dl", {}, ...rows.flatMap(([key, what]) => [make("dt", {}, key), make("dd", {}, what)]));
  const help = make("dialog", { class: "vp-help", "aria-label": WORDS.helpName }, ...(withHeat ? [make("h2", {}, WORDS.pictureHead), rowsOf(WORDS.picture)] : []),
    make("h2", {}, WORDS.keysHead), rowsOf(keyRows), button(WORDS.close, WORDS.close, () => help.close(), { class: "vp-text" }));
  const showHelp = () => { help.showModal(); help.scrollTop = 0; }; // the button to close it has the focus, and lies at its end
  const bar = make("div", { class: "vp-bar", role: "group", "aria-label": WORDS.playing },
    playButton, button(WORDS.back, icon("back"), () => step(-1)), button(WORDS.next, icon("next"), () => step(1)), clock,
    make("p", { class: "vp-now" }, now), speed, loopButton, soundButton, fullButton, button(WORDS.help, "?", () => showHelp(), { class: "vp-text" }));
  const showPlaying = () => {
    const isPaused = video.paused && driven <= 0;
    playButton.replaceChildren(icon(isPaused ? "play" : "pause"));
    playButton.setAttribute("aria-label", isPaused ? WORDS.play : WORDS.pause);
    playButton.title = playButton.getAttribute("aria-label");
    showTime();
  };
  for (const event of ["play", "pause"]) video.addEventListener(event, () => {
    showPlaying();
    if (video.paused) writeHash();
  });
  const toggleSound = () => {
    video.muted = !video.muted;
    soundButton.replaceChildren(icon(video.muted ? "muted" : "sound"));
    soundButton.setAttribute("aria-pressed", !video.muted);
  };
  const toggleFull = () => document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen().catch(() => {});

  // --- classes and look
  const group = `vp-${Math.random().toString(36).slice(2)}`;
  const dot = i => make("i", { class: `vp-dot c${i % 6}` });
  const outputs = labels.map(() => make("output", { class: "num", "aria-live": "off", title: WORDS.ofStrongest }));
  const radio = (value, title, ...content) => {
    const input = make("input", { type: "radio", name: group, value, checked: state.chosen === value });
    input.addEventListener("change", () => choose(value));
    return make("label", { class: "vp-class", title }, input, ...content);
  };
  const classes = make("fieldset", { class: "vp-classes" }, make("legend", {}, WORDS.evidenceFor),
    ...(automatic ? [radio(AUTO, WORDS.theAnswerTitle, make("kbd", {}, "0"), WORDS.theAnswer)] : []),
    ...labels.map((label, i) => radio(i, `${label}${i < 9 ? ` (${i + 1})` : ""}`, ...(i < 9 ? [make("kbd", {}, String(i + 1))] : []), dot(i), make("span", { class: "vp-name" }, label), outputs[i])));
  const style = make("select", { "aria-label": WORDS.style, title: WORDS.styleTitle }, ...data.drawing.styles.map(name => make("option", { value: name, textContent: WORDS.styles[name] ?? name, selected: name === look.style })));
  const slider = (label, title, value, change) => {
    const input = make("input", { type: "range", min: 0, max: 100, value: Math.round(100 * value), title });
    const shown = make("span", { class: "num", "aria-hidden": "true" }, wholePercent(value)), set = share => { input.value = Math.round(100 * share); shown.textContent = wholePercent(share); };
    input.addEventListener("input", () => change(Number(input.value) / 100));
    return { set, box: make("label", { class: "vp-slider" }, label, input, shown) };
  };
  const opacity = slider(WORDS.opacity, WORDS.opacityTitle, look.opacity, value => setLook({ opacity: Math.max(0.05, value) }));
  const threshold = slider(WORDS.threshold, WORDS.thresholdTitle, look.threshold, value => setLook({ threshold: value }));
  const check = (label, title, checked, change) => {
    const input = make("input", { type: "checkbox", checked });
    input.addEventListener("change", () => change(input.checked));
    return { input, box: make("label", { class: "vp-check", title }, input, label) };
  };
  const against = check(WORDS.against, WORDS.againstTitle, look.signed, value => setLook({ signed: value }));
  const wiping = check(WORDS.wipe, WORDS.wipeTitle, false, value => setWipe(value));
  const hide = button(WORDS.originalTitle, WORDS.original, () => {}, { class: "vp-text" });
  for (const [event, hidden] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["pointercancel", false]]) hide.addEventListener(event, () => setHidden(hidden));
  hide.addEventListener("keydown", event => { if (event.key === " " || event.key === "Enter") setHidden(true); });
  hide.addEventListener("keyup", () => setHidden(false));
  const looks = make("div", { class: "vp-look", role: "group", "aria-label": WORDS.look }, style, opacity.box, threshold.box, against.box);
  const originals = make("div", { class: "vp-look" }, wiping.box, hide);
  style.addEventListener("change", () => setLook({ style: style.value }));

  const setLook = changes => {
    Object.assign(look, changes);
    style.value = look.style;
    opacity.set(look.opacity);
    threshold.set(look.threshold);
    against.input.checked = look.signed;
    against.input.disabled = look.style === "spotlight";
    root.classList.toggle("vp-two", look.style === "side-by-side");
    paint();
    drawPlace();
    drawScale();
    pictures.forEach(drawMoment);
    if ("style" in changes) { say(WORDS.saidStyle(WORDS.styles[look.style] ?? look.style)); writeHash(); }
    if ("signed" in changes) say(look.signed ? WORDS.saidAgainst : WORDS.saidOnlyFor);
  };
  const setHidden = hidden => { state.hidden = hidden; paint(); };
  const setWipe = on => {
    state.wipe = on ? Number(wipe.value) : null;
    wiping.input.checked = on;
    wipe.classList.toggle("off", !on);
    main.style.setProperty("--vp-wipe", `${wipe.value}%`);
    paint();
  };
  wipe.addEventListener("input", () => setWipe(true));
  const choose = label => {
    if (label === AUTO ? !automatic && labels.length > 1 : !labels[label]) return;
    state.chosen = automatic ? label : Math.max(label, 0);
    classes.querySelectorAll("input").forEach(input => input.checked = Number(input.value) === state.chosen);
    paint();
    showTime();
    drawPlace();
    say(label === AUTO ? WORDS.saidAnswer : WORDS.saidFor(labels[label]));
    writeHash();
  };

  // --- the timeline
  const share = t => 100 * (t - chart.t0) / (chart.t1 - chart.t0), at = (start, end) => `left:${share(clamp(start, chart.t0, chart.t1))}%;width:${share(clamp(end, chart.t0, chart.t1)) - share(clamp(start, chart.t0, chart.t1))}%`;
  const rise = value => 100 * (chart.high - value) / (chart.high - chart.low);
  const band = make("div", { class: "vp-band", title: WORDS.band }, ...chart.band.map(s =>
    make("span", { style: at(s.start, s.end), title: s.prob === null ? s.label : WORDS.bandPart(s.label, percent(s.prob)), class: share(s.end) - share(s.start) < 4 ? "narrow" : "" }, s.label)));
  const svg = makeSvg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" }, ...curvePaths());
  function curvePaths() {
    return chart.curves.map((curve, i) => {
      let line = "", area = "", from = null;
      const close = end => { if (from !== null) area += `${area ? " " : ""}L${share(chart.times[end])},${rise(0)}Z`; from = null; };
      curve.forEach((value, k) => {
        if (value === null) return close(k - 1);
        const x = share(chart.times[k]).toFixed(3), y = rise(value).toFixed(3);
        line += `${from === null ? "M" : "L"}${x},${y}`;
        area += `${from === null ? `M${x},${rise(0)}` : ""}L${x},${y}`;
        from ??= k;
      });
      close(curve.length - 1);
      return makeSvg("g", { class: `c${i % 6}${i > 5 ? " again" : ""}`, "data-curve": i }, makeSvg("path", { class: "area", d: area }), makeSvg("path", { class: "curve", d: line }));
    });
  }
  const ticks = make("div", { class: "vp-ticks", "aria-hidden": "true" }), cursor = make("div", { class: "vp-cursor" }), ghost = make("div", { class: "vp-ghost off" });
  const loopBand = make("div", { class: "vp-loop off" });
  const placeSvg = makeSvg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  const placeText = make("p", { class: "vp-hint" }, withHeat ? WORDS.pointHere : ""), placeCursor = make("i", { class: "vp-cursor off" });
  const plot = make("div", { class: "vp-plot" },
    ...chart.unseen.map(([start, end]) => make("div", { class: "vp-unseen", style: at(start, end), title: WORDS.unseenTime })),
    ...chart.segments.map(s => make("div", { class: `vp-shade c${s.label % 6}`, "data-curve": s.label, style: at(s.start, s.end) })),
    ...yTicks().map(value => make("div", { class: `vp-line${value === 0 ? " zero" : ""}`, style: `top:${rise(value)}%` })), svg,
    ...data.moments.map(m => make("div", { class: `vp-mark c${m.label % 6}`, "data-curve": m.label, style: `left:${share(m.time)}%` })));
  function yTicks() {
    const low = chart.low / strongest, high = chart.high / strongest, step = [0.1, 0.2, 0.25, 0.5, 1].find(n => (high - low) / n <= 4.5);
    return Array.from({ length: 6 }, (_, i) => (Math.ceil(low / step) + i) * step * strongest).filter(v => v <= chart.high);
  }
  const slide = make("div", { class: "vp-slide", tabIndex: 0, role: "slider", "aria-label": WORDS.time, "aria-valuemin": chart.t0, "aria-valuemax": chart.t1 },
    loopBand, band, plot, ticks, make("div", { class: "vp-place" }, placeSvg, placeCursor), ghost, cursor);
  const scroller = make("div", { class: "vp-scroll" }, slide);
  const gutter = make("div", { class: "vp-gutter", "aria-hidden": "true" }, ...yTicks().map(v => make("span", { class: "num", style: `top:${rise(v)}%` }, wholePercent(v / strongest))));
  const zoomText = make("output", { class: "num" }, "1 ×");
  const zooms = make("div", { class: "vp-zoom", role: "group", "aria-label": WORDS.zoom },
    button(WORDS.zoomOut, "−", () => setZoom(state.zoom / 1.5), { class: "vp-text" }), zoomText, button(WORDS.zoomIn, "+", () => setZoom(state.zoom * 1.5), { class: "vp-text" }));
  const timeline = make("div", { class: "vp-time" }, gutter, scroller);

  const drawTicks = () => {
    const wide = scroller.clientWidth * state.zoom || 600, most = Math.max(2, Math.floor(wide / 90)), long = (chart.t1 - chart.t0) / most;
    const gap = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find(n => n >= long) ?? 7200;
    const first = Math.ceil(chart.t0 / gap - 0.1), count = Math.floor((chart.t1 - first * gap) / gap + 1e-9) + 1;
    ticks.replaceChildren(...Array.from({ length: count }, (_, i) => (first + i) * gap).map(t => make("span", { class: share(t) > 96 ? "num last" : "num", style: `left:${Math.max(0, share(t))}%` }, gap < 1 ? timeText(t) : timeText(t).replace(".0", ""))));
  };
  const setZoom = zoom => {
    state.zoom = clamp(zoom, 1, Math.max(1, (chart.t1 - chart.t0) / 2));
    if (state.zoom < 1.05) state.zoom = 1;
    slide.style.width = `${100 * state.zoom}%`;
    zoomText.textContent = `${Number(state.zoom.toPrecision(2))} ×`;
    drawTicks();
    follow(true);
  };
  const follow = force => {
    if (state.zoom === 1) return;
    const x = share(state.time) / 100 * scroller.scrollWidth, wide = scroller.clientWidth;
    if (force || x < scroller.scrollLeft || x > scroller.scrollLeft + wide) scroller.scrollLeft = x - wide / 2;
  };
  const valueAt = (i, t) => {
    const k = indexAt(chart.times, t), nearer = k + 1 < chart.times.length && chart.times[k + 1] - t < t - chart.times[k] ? k + 1 : k;
    return chart.curves[i][nearer];
  };
  const showTime = () => {
    const t = state.time, label = labels.length ? labelAt(state.frame) : 0;
    cursor.style.left = placeCursor.style.left = `${share(t)}%`;
    const paused = video.paused && !driven && frames, number = paused ? indexAt(frames, state.frame + 1e-4) : 0;
    clockTime.textContent = `${paused && !video.seeking ? timeText(frames[number], 2) : timeText(t)} / ${timeText(chart.t1)}`;
    clockFrame.textContent = paused ? WORDS.frame(number + 1, frames.length) : "";
    clockFrame.classList.toggle("off", !frames);
    slide.setAttribute("aria-valuenow", t.toFixed(3));
    slide.setAttribute("aria-valuetext", timeText(t));
    const answer = answerAt(t);
    now.textContent = !answer ? WORDS.noAnswer : answer.prob === null ? answer.label : WORDS.now(answer.label, percent(answer.prob));
    const shown = hovering ?? t;
    outputs.forEach((output, i) => { const value = valueAt(i, shown); output.textContent = wholePercent(value === null ? NaN : value / strongest); });
    if (label !== marked) slide.querySelectorAll("[data-curve]").forEach(element => element.classList.toggle("vp-other", Number(element.dataset.curve) !== label));
    marked = label;
    if (!video.paused || driven > 0) follow(false);
    showPlace();
  };
  const setLoop = loop => {
    state.loop = loop && loop[1] - loop[0] > 0.02 ? loop : null;
    loopButton.setAttribute("aria-pressed", state.loop !== null);
    loopBand.classList.toggle("off", !state.loop);
    if (state.loop) loopBand.style.cssText = at(...state.loop);
    say(state.loop ? WORDS.loops(...state.loop.map(t => timeText(t))) : WORDS.noLoop);
  };
  const toggleLoop = () => {
    if (state.loop) return setLoop(null);
    const own = chart.segments.filter(s => s.label === labelAt(state.frame)), here = own.find(s => state.time >= s.start && state.time < s.end) ?? own.find(s => s.start > state.time) ?? own[0];
    setLoop(here ? [here.start, here.end] : [Math.max(chart.t0, state.time - 1), Math.min(chart.t1, state.time + 1)]);
    if (state.loop && (state.time < state.loop[0] || state.time >= state.loop[1])) go(state.loop[0]);
  };

  const timeOf = event => { const box = slide.getBoundingClientRect(); return clamp(chart.t0 + (event.clientX - box.left) / box.width * (chart.t1 - chart.t0), chart.t0, chart.t1); };
  let dragged = null;
  slide.addEventListener("pointerdown", event => {
    if (event.button) return;
    dragged = { from: timeOf(event), loops: event.shiftKey };
    if (event.pointerType !== "touch") slide.setPointerCapture(event.pointerId);
    drive(0);
    if (!event.shiftKey) go(dragged.from);
  });
  slide.addEventListener("pointermove", event => {
    hovering = timeOf(event);
    ghost.classList.remove("off");
    ghost.style.left = `${share(hovering)}%`;
    if (dragged?.loops) setLoop([Math.min(dragged.from, hovering), Math.max(dragged.from, hovering)]);
    else if (dragged) go(hovering);
    showTime();
  });
  for (const event of ["pointerup", "pointercancel"]) slide.addEventListener(event, () => { dragged = null; });
  slide.addEventListener("pointerleave", () => { hovering = null; ghost.classList.add("off"); showTime(); });
  scroller.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.altKey) return;
    event.preventDefault();
    setZoom(state.zoom * (event.deltaY < 0 ? 1.25 : 0.8));
  }, { passive: false });

  // --- the evidence at a place over time
  const placeCurve = ({ y, x }, label) => {
    const own = tracks.filter(track => track.label === label && x >= track.seen[1] && x < track.seen[3] && y >= track.seen[0] && y < track.seen[2]);
    if (!own.length) return null;
    const { times } = own[0], sum = new Float32Array(times.length);
    for (const { ys, xs, cells, bytes, zero, step } of own) { // where crops overlap, their mean
      const down = between(ys, [y - 0.5]), across = between(xs, [x - 0.5]), i = down.index[0], j = across.index[0], w = xs.length;
      const dy = down.share[0], dx = across.share[0], right = Math.min(j + 1, w - 1), below = Math.min(i + 1, ys.length - 1);
      const corners = [[i * w + j, (1 - dy) * (1 - dx)], [i * w + right, (1 - dy) * dx], [below * w + j, dy * (1 - dx)], [below * w + right, dy * dx]];
      for (let n = 0; n < times.length; n++) {
        let value = bytes[n * cells] ? -zero : NaN;
        for (const [cell, weight] of corners) value += weight * bytes[n * cells + cell];
        sum[n] += value * step / own.length;
      }
    }
    return { times, values: sum };
  };
  let curve = null;
  const drawPlace = () => {
    const label = labels.length ? labelAt(state.frame) : 0;
    curve = state.place && tracks.length ? placeCurve(state.place, label) : null;
    marker.classList.toggle("off", !state.place);
    marker.classList.toggle("pinned", Boolean(state.place?.pinned));
    placeSvg.replaceChildren();
    placeCursor.classList.toggle("off", !curve);
    if (state.place) marker.style.cssText = `left:${100 * state.place.x / width}%;top:${100 * state.place.y / height}%`;
    if (curve) {
      const top = 1.05, bottom = Math.min(-0.12, ...Array.from(curve.values, v => v < -0.12 ? Math.max(v, -1.05) : 0)), y0 = v => 100 * (top - clamp(v, bottom, top)) / (top - bottom);
      const stride = Math.max(1, Math.floor(curve.times.length / 1500));
      let line = "", open = false;
      for (let n = 0; n < curve.times.length; n += stride) {
        if (Number.isNaN(curve.values[n])) { open = false; continue; }
        line += `${open ? "L" : "M"}${share(curve.times[n]).toFixed(2)},${y0(curve.values[n]).toFixed(2)}`;
        open = true;
      }
      placeSvg.append(makeSvg("path", { class: "zero", d: `M0,${y0(0)}H100` }), makeSvg("path", { class: `curve c${label % 6}`, d: line }));
    }
    showPlace();
  };
  const showPlace = () => {
    if (!state.place) { placeText.textContent = withHeat ? WORDS.pointHere : ""; return; }
    if (!curve) { placeText.textContent = tracks.length ? WORDS.notLooked : ""; return; }
    const k = indexAt(curve.times, state.frame), value = curve.values[k];
    let most = 0;
    curve.values.forEach((v, n) => { if (v > (curve.values[most] || -Infinity)) most = n; });
    strongestPlace ??= Math.max(...tracks.map(track => track.strongest())) || 1;
    const name = labels[labelAt(state.frame)], shareOf = v => wholePercent(v / strongestPlace), peak = [shareOf(curve.values[most]), timeText(curve.times[most])];
    placeText.textContent = Number.isNaN(value) ? WORDS.placeUnseen(name, ...peak) : WORDS.place(name, shareOf(value), ...peak);
    if (!state.place.pinned) return;
    const others = labels.map((label, i) => [label, i === labelAt(state.frame) ? null : placeCurve(state.place, i)]).filter(([, other]) => other);
    if (others.length) placeText.textContent += WORDS.placeOthers(others.map(([label, { times, values }]) => `${label} ${shareOf(values[indexAt(times, state.frame)])}`).join(", "));
  };
  const setPlace = place => { state.place = place; drawPlace(); };
  const pointOf = event => {
    const box = main.getBoundingClientRect();
    return { y: clamp((event.clientY - box.top) / box.height, 0, 0.9999) * height, x: clamp((event.clientX - box.left) / box.width, 0, 0.9999) * width };
  };
  let waiting = null;
  main.addEventListener("pointermove", event => {
    if (!withHeat || state.place?.pinned || event.pointerType === "touch") return;
    if (waiting === null) requestAnimationFrame(() => { const point = waiting; waiting = null; if (point && !state.place?.pinned) setPlace(point); });
    waiting = pointOf(event);
  });
  main.addEventListener("pointerleave", () => { waiting = false; if (!state.place?.pinned) setPlace(null); waiting = null; });
  main.addEventListener("click", event => {
    if (!withHeat || event.target === wipe) return;
    const point = pointOf(event), old = state.place;
    const same = old?.pinned && Math.hypot(old.x - point.x, old.y - point.y) < 0.04 * width;
    setPlace(same ? null : { ...point, pinned: true });
  });
  const hottest = () => {
    const patches = patchesAt(state.frame);
    if (!patches.length) return;
    let best = null;
    for (const { ys, xs, values } of patches) values.forEach((value, n) => {
      if (!best || value > best.value) best = { value, y: clamp(ys[Math.floor(n / xs.length)], 0, height - 1), x: clamp(xs[n % xs.length], 0, width - 1) };
    });
    setPlace({ y: best.y, x: best.x, pinned: true });
    say(placeText.textContent);
  };
  const movePlace = (dy, dx) => {
    if (!state.place) return hottest();
    setPlace({ y: clamp(state.place.y + dy * height / 20, 0, height - 1), x: clamp(state.place.x + dx * width / 20, 0, width - 1), pinned: true });
    say(placeText.textContent);
  };

  // --- keys
  const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const speedBy = by => setSpeed(SPEEDS[clamp(SPEEDS.indexOf(video.playbackRate) + by, 0, SPEEDS.length - 1)]);
  const commands = {
    k: toggle, j: rewind, l: forward, ",": () => step(-1), ".": () => step(1), s: () => setLook({ style: data.drawing.styles[(data.drawing.styles.indexOf(look.style) + 1) % data.drawing.styles.length] }),
    a: () => { if (look.style !== "spotlight") setLook({ signed: !look.signed }); }, o: () => setLook({ opacity: Math.min(1, look.opacity + 0.1) }), O: () => setLook({ opacity: Math.max(0.05, look.opacity - 0.1) }),
    w: () => setWipe(state.wipe === null), h: () => setHidden(true), p: hottest, m: () => { if (source.sound) toggleSound(); }, f: toggleFull, "?": () => showHelp(),
    "[": () => setLoop([state.time, state.loop?.[1] > state.time ? state.loop[1] : chart.t1]), "]": () => setLoop([state.loop?.[0] < state.time ? state.loop[0] : chart.t0, state.time]),
    "+": () => setZoom(state.zoom * 1.5), "=": () => setZoom(state.zoom * 1.5), "-": () => setZoom(state.zoom / 1.5), "<": () => speedBy(-1), ">": () => speedBy(1),
    Home: () => go(chart.t0), End: () => go(chart.t1 - 0.01), Escape: () => { if (state.place?.pinned) setPlace(null); else setLoop(null); },
    ArrowLeft: event => go(state.time - (event.shiftKey ? 0.1 : 1)), ArrowRight: event => go(state.time + (event.shiftKey ? 0.1 : 1)),
  };
  const onKey = event => {
    if (event.ctrlKey || event.metaKey || help.open) return;
    const target = event.target, inside = target.closest?.("input, select, textarea, [contenteditable]"), types = inside && !["checkbox", "radio", "range"].includes(inside.type);
    if (event.shiftKey && event.altKey && arrows[event.key]) { event.preventDefault(); return movePlace(...arrows[event.key]); }
    if (types || event.altKey) return;
    if (inside && (arrows[event.key] || event.key === "Home" || event.key === "End")) return;
    if (event.key === " ") { if (inside && inside.type !== "range" || target.closest?.("button, summary, a")) return; event.preventDefault(); return event.repeat || toggle(); }
    if (/^[0-9]$/.test(event.key)) { event.preventDefault(); return choose(Number(event.key) - 1); }
    if (event.key === "Escape" && !state.loop && !state.place?.pinned) return; // a dialog around the player closes
    const command = commands[event.key] ?? commands[event.key.toLowerCase()];
    if (!command || (arrows[event.key] && !commands[event.key])) return;
    event.preventDefault();
    command(event);
  };
  const onKeyUp = event => { if (event.key.toLowerCase() === "h") setHidden(false); };
  const listener = keys ? document : root;
  listener.addEventListener("keydown", onKey);
  listener.addEventListener("keyup", onKeyUp);

  // --- the address: #t=4.2&class=walking
  const readHash = () => {
    const asked = new URLSearchParams(location.hash.slice(1)), t = parseFloat(asked.get("t")), name = asked.get("class");
    if (name !== null && (name === "auto" || labels.includes(name))) choose(name === "auto" ? AUTO : labels.indexOf(name));
    if (data.drawing.styles.includes(asked.get("style"))) setLook({ style: asked.get("style") });
    if (Number.isFinite(t)) go(t);
    return Number.isFinite(t);
  };
  let reading = false, started = false;
  const writeHash = () => {
    if (!hash || reading || !started || !video.paused) return;
    const said = new URLSearchParams({ t: Number(state.time.toFixed(3)), class: state.chosen === AUTO ? "auto" : labels[state.chosen] ?? "", ...(look.style === data.look.style ? {} : { style: look.style }) });
    try { history.replaceState(null, "", `#${said}`); } catch { /* a page inside a frame may not */ }
  };
  if (hash) addEventListener("hashchange", () => { reading = true; readHash(); reading = false; });

  // --- pictures of the moments, drawn by the browser itself
  const strip = make("div", { class: "vp-strip" });
  const pictures = data.moments.map(m => {
    const picture = make("canvas", { width: 320, height: Math.round(320 * height / width), role: "img", "aria-label": WORDS.moment(timeText(m.time), labels[m.label]) });
    const open = make("button", { type: "button", title: WORDS.momentTitle }, picture);
    open.addEventListener("click", () => { choose(m.label); go(m.time); root.scrollIntoView({ block: "start", behavior: "instant" }); });
    strip.append(make("figure", {}, open, make("figcaption", {}, make("strong", { class: "num" }, timeText(m.time)), " ", make("span", { class: "soft num", title: WORDS.ofStrongest }, WORDS.momentShare(wholePercent(m.score / strongest))), make("span", { class: "name", title: labels[m.label] }, labels[m.label]))));
    return picture;
  });
  const shots = [], over = make("canvas"), small = new Heat(data.drawing, size, data.frame_size); // its own: it keeps what belongs to a size of canvas
  const drawMoment = (picture, i) => {
    const context = picture.getContext("2d"), { time, label } = data.moments[i];
    context.clearRect(0, 0, picture.width, picture.height);
    if (shots[i]) context.drawImage(shots[i], 0, 0);
    if (!tracks.length) return;
    Object.assign(over, { width: picture.width, height: picture.height });
    small.draw(over, patchesAt(time, label), lookNow());
    context.drawImage(over, 0, 0);
  };
  const drawMoments = async () => {
    const shot = video.cloneNode();
    shot.muted = true;
    await new Promise(resolve => { shot.addEventListener("loadeddata", resolve, { once: true }); shot.addEventListener("error", resolve, { once: true }); shot.load(); });
    for (const [i, m] of data.moments.entries()) {
      const picture = pictures[i], wanted = toMedia(m.time);
      if (!shot.error) {
        if (Math.abs(shot.currentTime - wanted) > 1e-3) await new Promise(resolve => { shot.addEventListener("seeked", resolve, { once: true }); shot.currentTime = wanted; });
        if (!withHeat) picture.height = Math.round(320 * shot.videoHeight / shot.videoWidth);
        shots[i] = make("canvas", { width: picture.width, height: picture.height });
        shots[i].getContext("2d").drawImage(shot, 0, 0, picture.width, picture.height);
      }
      drawMoment(picture, i);
    }
    shot.removeAttribute("src");
    shot.load();
  };

  // --- the legend
  const scale = make("i", { class: "vp-scale" }), scaleEnds = [make("span"), make("span")], key = (kind, words) => make("span", {}, make("i", { class: kind }), words);
  const legend = make("p", { class: "vp-legend", "aria-label": WORDS.legend }, ...(withHeat ? [make("span", {}, scaleEnds[0], scale, scaleEnds[1]),
    ...(isAllSeen() ? [] : [key("vp-hatch", WORDS.unseen)])] : []), key("vp-stroke", WORDS.line), ...(data.moments.length ? [key("vp-diamond", WORDS.diamond)] : []));
  function isAllSeen() { return !chart.unseen.length && data.tracks.some(({ seen: [y0, x0, y1, x1] }) => y0 <= 0 && x0 <= 0 && y1 >= height && x1 >= width); }
  const drawScale = () => {
    if (!withHeat) return;
    const signed = look.signed && look.style !== "spotlight", lut = new Uint8Array(heat.lut({ style: look.style, opacity: 1, strength: 1, threshold: look.threshold, signed }).buffer);
    const colours = Array.from({ length: 18 }, (_, i) => lut.subarray(60 * i, 60 * i + 4)).map(([r, g, b, a]) => `rgba(${r}, ${g}, ${b}, ${(a / 255).toFixed(3)})`);
    scale.style.backgroundImage = `linear-gradient(to right, ${colours.join(", ")})`;
    scale.classList.toggle("vp-bright", look.style === "spotlight");
    (signed ? WORDS.scaleSigned : WORDS.scale).forEach((words, i) => scaleEnds[i].textContent = words);
  };

  // --- beginning
  const side = make("div", { class: "vp-side" }, ...(withHeat ? [looks] : []), bar, timeline, ...(withHeat ? [placeText] : []), make("div", { class: "vp-row" }, legend, zooms), classes, ...(withHeat ? [originals] : []), live, help);
  root.append(stage, side);
  drawScale();
  root.classList.toggle("vp-two", look.style === "side-by-side");
  against.input.disabled = look.style === "spotlight";
  if (!labels.length) classes.remove();

  const loadVideo = async () => {
    if (source.embedded) {
      const bytes = await part("video");
      video.src = URL.createObjectURL(new Blob([bytes], { type: source.type }));
    } else if (source.src) video.src = source.src;
    else throw new Error("no video");
    await new Promise((resolve, reject) => {
      video.addEventListener("error", reject, { once: true });
      // The clock of the element need not begin at the source's first second: the first picture that is shown tells.
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback((_, frame) => { shift = frame.mediaTime - data.first_s; resolve(); });
      else video.addEventListener("loadeddata", resolve, { once: true });
    });
  };
  const loadMaps = async () => {
    const bytes = async name => { const packed = await part(name); return packed && inflate(packed); };
    const loaded = await Promise.all(data.tracks.map(async (facts, i) => new Track(facts, unpackTimes(facts.first, await bytes(`times-${i}`)), await bytes(`maps-${i}`))));
    tracks = loaded;
    const steps = data.frames_first_s === null ? null : await bytes("frames");
    frames = steps && unpackTimes(data.frames_first_s, steps);
  };
  const begin = async () => {
    const maps = loadMaps(), playing = loadVideo().catch(() => {
      isLost = true;
      lost.textContent = source.missing ?? WORDS.lost(source.name);
      lost.classList.remove("off");
    });
    await maps;
    started = true;
    const best = data.moments.filter(m => m.label === 0).sort((a, b) => b.score - a.score)[0] ?? data.moments[0];
    const opens = data.opens_s ?? best?.time ?? chart.t0;
    state.time = state.frame = opens;
    paint();
    showTime();
    await playing;
    reading = true;
    const asked = readHash();
    if (!asked) go(opens);
    reading = false;
    state.poster = !asked;
    if (video.requestVideoFrameCallback) {
      const onFrame = (_, frame) => { video.requestVideoFrameCallback(onFrame); present(frame.mediaTime); };
      video.requestVideoFrameCallback(onFrame);
    } else {
      video.addEventListener("timeupdate", () => present(video.currentTime));
      const whilePlaying = () => { if (!video.paused) { present(video.currentTime); requestAnimationFrame(whilePlaying); } };
      video.addEventListener("play", whilePlaying);
    }
    if (!video.seeking) present(video.currentTime);
  };
  new ResizeObserver(() => { paint(); drawTicks(); }).observe(main);
  new ResizeObserver(() => { // beside a portrait picture is room for what belongs to it
    root.classList.toggle("vp-tall", width < 0.9 * height && root.clientWidth >= 560);
    root.style.setProperty("--vp-room", `${root.clientWidth}px`);
  }).observe(root);
  drawTicks();
  showTime();
  const ready = begin();
  ready.then(drawMoments).catch(error => console.error(error));
  return root.player = { seek: go, choose, look: setLook, loop: setLoop, strip, ready, video, canvas, heat, state, patchesAt, lookNow };
};

const textOf = name => document.getElementById(name)?.textContent ?? null;
const partOf = async name => { const found = textOf(`part-${name}`); return found === null ? null : decode(found); };

/**
 * Starts a page that compares maps: the player shows one of them in large, and each `button.vp-tile[data-label]` of the page shows
 * one in small, all of the same frame. See vidcam/reports/templates/compare.html.j2.
 */
export const startComparison = () => {
  const data = JSON.parse(textOf("data")), root = document.getElementById("player"), over = document.createElement("canvas");
  const heat = new Heat(data.drawing, data.size, data.frame_size); // its own: it keeps what belongs to a size of canvas
  const tiles = [...document.querySelectorAll(".vp-tile")].map(element => ({ element, label: Number(element.dataset.label), canvas: element.querySelector("canvas") }));
  const draw = () => {
    const player = root.player, wide = tiles[0]?.canvas.getBoundingClientRect().width;
    if (!player || !wide) return;
    const w = Math.min(640, Math.round(wide * Math.min(devicePixelRatio || 1, 2))), h = Math.max(1, Math.round(w * data.frame_size[0] / data.frame_size[1]));
    const { video, state, patchesAt, lookNow } = player, look = lookNow();
    Object.assign(over, { width: w, height: h });
    for (const { element, label, canvas } of tiles) {
      Object.assign(canvas, { width: w, height: h });
      const context = canvas.getContext("2d");
      if (video.readyState > 1) context.drawImage(video, 0, 0, w, h);
      if (!state.hidden) {
        heat.draw(over, patchesAt(state.frame, label), look);
        context.drawImage(over, 0, 0);
      }
      element.setAttribute("aria-pressed", label === state.chosen);
    }
  };
  const player = createPlayer(root, data, partOf, { painted: draw });
  for (const { element, label } of tiles) element.addEventListener("click", () => player.choose(label));
  root.classList.add("vp-compare"); // the tiles are the legend
  root.querySelector(".vp-time").before(document.getElementById("tiles"));
  for (const event of ["seeked", "canplay"]) player.video.addEventListener(event, draw); // a frame can be shown before it can be copied
  new ResizeObserver(draw).observe(root);
  return player;
};

/** Starts the player of a page that carries its data: see vidcam/reports/templates/report.html.j2. */
export const startPage = () => {
  const player = createPlayer(document.getElementById("player"), JSON.parse(textOf("data")), partOf);
  document.getElementById("moments")?.append(player.strip);
  document.addEventListener("click", event => {
    const chosen = event.target.closest("[data-seek]");
    if (!chosen) return;
    if (chosen.dataset.label) player.choose(Number(chosen.dataset.label));
    if (chosen.dataset.end) player.loop([Number(chosen.dataset.seek), Number(chosen.dataset.end)]);
    player.seek(Number(chosen.dataset.seek));
    document.getElementById("player").scrollIntoView({ block: "start", behavior: "instant" });
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(details => details.open = true));
  return player;
};
