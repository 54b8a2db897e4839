// What the pages of the app and of the live viewer share. The viewer imports it as a module; the app puts it before each of its
// scripts, without the word "export" (vidcam/web/studio/components.py).

/** The number of colours that labels take in turn. */
export const HUES = 6;

/** Makes an element with a class and a text. */
export const make = (tag, name = "", text = "") => {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
};

/** Makes a button that calls `act` when it is pressed. */
export const button = (name, text, act) => {
  const made = make("button", name, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
};

/** Makes a picture. */
export const image = (src, alt = "") => Object.assign(make("img"), { src, alt });

/** Has the browser save a file that was asked for by a click and is ready now: `{url, name, number}`; each number once. */
export const saveFile = file => {
  const known = globalThis.vidcamSaved ??= new Set();
  if (!file || known.has(file.number)) return;
  known.add(file.number);
  Object.assign(document.createElement("a"), { href: file.url, download: file.name }).click();
};

export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

/** A probability as text, such as "12.3 %". It never reads as certain when it is not. */
export const percent = p => p > 0 && p < .001 ? "< 0.1 %" : p >= .9995 ? "> 99.9 %" : `${(100 * p).toFixed(1)} %`;

/** A time in seconds as text: "4.2 s" or "1:04.2". */
export const timeText = s => {
  const tenths = Math.round(s * 10), minutes = Math.floor(tenths / 600);
  return minutes ? `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}` : `${(tenths / 10).toFixed(1)} s`;
};
