// Draws evidence on the model's own grid over the picture, with the same arithmetic as vidcam's own pictures: linear between the
// cells' centres, constant beyond the outermost, nothing outside of what the model saw; opacity follows a quarter of a sine.

const FINE = 168; // points along the picture's longer side: the map has far fewer cells, and the drawing is scaled up smoothly
const LEVELS = [0.25, 0.5, 0.75];
const DIMMED = 0.25;
const ramp = (strength) => Math.sin((Math.PI / 2) * strength);

/** Returns, for each of the points `at`, the index of the centre before it and its fraction of the way to the next. */
function between(centres, at) {
  const index = new Uint16Array(at.length), share = new Float32Array(at.length);
  at.forEach((x, i) => {
    let j = 0;
    while (j < centres.length - 2 && centres[j + 1] <= x) j++;
    index[i] = j;
    const gap = centres[Math.min(j + 1, centres.length - 1)] - centres[j];
    share[i] = gap > 0 ? Math.min(1, Math.max(0, (x - centres[j]) / gap)) : 0;
  });
  return { index, share };
}

export function decode(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

export class Heat {
  /** `colours` are two tables of 256 RGB colours; `levels` is the number of steps of the scale. */
  constructor({ colours, levels }) {
    this.tables = { plain: decode(colours.plain), signed: decode(colours.signed) };
    this.levels = levels;
    this.small = document.createElement("canvas");
    this.weights = new Map();
  }

  /** Returns the signed evidence as a fraction of the scale, on a fine grid over the whole picture of `width` x `height`. */
  field(patches, width, height) {
    const scale = Math.min(1, FINE / Math.max(width, height));
    const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
    const total = new Float32Array(w * h), count = new Uint8Array(w * h); // how many patches show a point: 0 is unseen
    for (const patch of patches) {
      const { rows, columns, y, x } = this.grid(patch, width, height, w, h);
      const cells = patch.xs.length, values = patch.values, last = patch.ys.length - 1;
      for (let i = 0; i < rows.length; i++) {
        const above = y.index[i] * cells, below = Math.min(y.index[i] + 1, last) * cells, dy = y.share[i];
        const line = rows[i] * w;
        for (let k = 0; k < columns.length; k++) {
          const left = x.index[k], right = Math.min(left + 1, cells - 1), dx = x.share[k];
          const top = values[above + left] * (1 - dx) + values[above + right] * dx;
          const low = values[below + left] * (1 - dx) + values[below + right] * dx;
          const at = line + columns[k];
          total[at] += (top * (1 - dy) + low * dy) / this.levels;
          count[at] += 1;
        }
      }
    }
    for (let i = 0; i < total.length; i++) if (count[i] > 1) total[i] /= count[i];
    return { values: total, seen: count, w, h };
  }

  /** Returns which fine points a patch covers, and where they are between its cells. The result is cached, as it hardly changes. */
  grid(patch, width, height, w, h) {
    const key = [patch.seen, patch.ys, patch.xs, width, height].join(";");
    if (!this.weights.has(key)) {
      const [y0, x0, y1, x1] = patch.seen;
      const inside = (n, size, low, high) => [...Array(n).keys()].filter((i) => {
        const at = ((i + 0.5) * size) / n;
        return at >= low && at < high;
      });
      const rows = inside(h, height, y0, y1), columns = inside(w, width, x0, x1);
      const y = between(patch.ys, rows.map((i) => ((i + 0.5) * height) / h - 0.5));
      const x = between(patch.xs, columns.map((i) => ((i + 0.5) * width) / w - 0.5));
      if (this.weights.size > 32) this.weights.clear();
      this.weights.set(key, { rows, columns, y, x });
    }
    return this.weights.get(key);
  }

  /** Draws over a picture of `width` x `height` into a canvas of any size. `look`: style, opacity, signed. */
  draw(canvas, { patches, width, height }, look) {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    const sx = canvas.width / width, sy = canvas.height / height;
    if (patches.length && look.opacity > 0) {
      const field = this.field(patches, width, height);
      if (look.style === "contour") this.contours(context, field, look);
      else this.paint(context, field, look);
    }
    unseen(context, patches.map((p) => p.seen), sx, sy);
  }

  paint(context, { values, w, h }, look) {
    const small = this.small, spot = look.style === "spotlight", signed = look.signed && !spot;
    small.width = w;
    small.height = h;
    const inner = small.getContext("2d"), image = inner.createImageData(w, h), data = image.data;
    const table = signed ? this.tables.signed : this.tables.plain;
    for (let i = 0; i < values.length; i++) {
      const v = Math.max(signed ? -1 : 0, Math.min(1, values[i])), at = 4 * i;
      if (spot) {
        data[at + 3] = 255 * Math.min(1, (look.opacity / 0.62) * (1 - DIMMED)) * (1 - ramp(v));
        continue;
      }
      const colour = 3 * (signed ? Math.round(128 + 127 * v) : Math.round(255 * v));
      data[at] = table[colour];
      data[at + 1] = table[colour + 1];
      data[at + 2] = table[colour + 2];
      data[at + 3] = 255 * look.opacity * ramp(Math.abs(v));
    }
    inner.putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
  }

  contours(context, field, look) {
    const { width, height } = context.canvas, stroke = Math.max(1.5, Math.sqrt(width * height) / 330);
    context.lineJoin = context.lineCap = "round";
    for (const sign of look.signed ? [-1, 1] : [1]) {
      for (const level of LEVELS) {
        const path = crossing(field, sign, level, width / field.w, height / field.h);
        const v = 0.35 + 0.65 * level, table = look.signed ? this.tables.signed : this.tables.plain;
        const at = 3 * (look.signed ? Math.round(128 + 127 * sign * v) : Math.round(255 * v));
        context.strokeStyle = `rgba(0, 0, 0, ${0.55 * Math.min(1, look.opacity + 0.3)})`;
        context.lineWidth = 2.4 * stroke;
        context.stroke(path);
        context.strokeStyle = `rgba(${table[at]}, ${table[at + 1]}, ${table[at + 2]}, ${Math.min(1, look.opacity + 0.3)})`;
        context.lineWidth = stroke;
        context.stroke(path);
      }
    }
  }
}

/** Returns the line along which `sign` times the field crosses `level`, as a path (marching squares). */
function crossing({ values, seen, w, h }, sign, level, sx, sy) {
  const path = new Path2D(), at = (y, x) => sign * values[y * w + x] - level;
  for (let y = 0; y < h - 1; y++) {
    for (let x = 0; x < w - 1; x++) {
      const corner = y * w + x; // no line at the edge of what the model saw, because the evidence does not end there
      if (!(seen[corner] && seen[corner + 1] && seen[corner + w] && seen[corner + w + 1])) continue;
      const a = at(y, x), b = at(y, x + 1), c = at(y + 1, x + 1), d = at(y + 1, x);
      const signs = (a > 0) + 2 * (b > 0) + 4 * (c > 0) + 8 * (d > 0);
      if (signs === 0 || signs === 15) continue;
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
}

let hatch = null;

/** Darkens and hatches the part that no box of `seen` covers. */
function unseen(context, seen, sx, sy) {
  const { width, height } = context.canvas;
  const boxes = seen.map(([y0, x0, y1, x1]) => [x0 * sx, y0 * sy, (x1 - x0) * sx, (y1 - y0) * sy]);
  if (boxes.some(([x, y, w, h]) => x < 1 && y < 1 && x + w > width - 1 && y + h > height - 1)) return;
  context.save();
  for (const box of boxes) {
    const outside = new Path2D();
    outside.rect(0, 0, width, height);
    outside.rect(...box);
    context.clip(outside, "evenodd"); // after all clips, only the part outside of every box is left
  }
  if (!hatch) {
    const tile = document.createElement("canvas"), ink = tile.getContext("2d");
    tile.width = tile.height = 10;
    ink.strokeStyle = "rgba(255, 255, 255, 0.16)";
    ink.lineWidth = 1.2;
    for (const shift of [-10, 0, 10]) {
      ink.moveTo(shift, 10);
      ink.lineTo(shift + 10, 0);
    }
    ink.stroke();
    hatch = context.createPattern(tile, "repeat");
  }
  context.fillStyle = "rgba(0, 0, 0, 0.42)";
  context.fillRect(0, 0, width, height);
  context.fillStyle = hatch;
  context.fillRect(0, 0, width, height);
  context.restore();
}
