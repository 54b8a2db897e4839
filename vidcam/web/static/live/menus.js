// What is explained, and how: model, method, class, contrast and smoothing. These belong to the source, so all its viewers share them.

import { clock } from "./clock.js";
import { $ } from "./elements.js";
import { noticeBriefly } from "./notice.js";
import { state } from "./state.js";
import { WORDS } from "./words.js";

const SETTLE_MS = 1500; // after a choice, the server's status may still be out of date
const LABELS = ["class", "versus"]; // the fields that take a class

let chosenAt = -Infinity, models = null;

/** Has the controls send what the user chooses with `say(message)`. */
export function connectMenus(say) {
  const choose = () => {
    chosenAt = clock.now();
    say({
      type: "choose", method: $("method").value, class: chosenLabel("class"), versus: chosenLabel("versus"), smooth_s: Number($("smooth").value),
    });
  };
  $("method").addEventListener("change", (event) => { choose(); event.target.blur(); });
  $("smooth").addEventListener("input", showSmoothing);
  $("smooth").addEventListener("change", choose);
  for (const id of LABELS) makeChooser($(id), { names: () => [WORDS.none[id], ...state.hello.labels], take: choose, refusal: WORDS.noClass });
  makeChooser($("model"), {
    names: () => models.choices.map(([name]) => name),
    take: (name) => say({ type: "model", name }),
    refusal: WORDS.noModel,
  });
  showSmoothing();
}

/** Fills the menus with what the present model has. */
export function fillMenus() {
  const { labels, methods } = state.hello;
  $("rule").placeholder = WORDS.ruleExample(labels[0]);
  $("method").replaceChildren(...methods.map(makeMethod));
  for (const id of LABELS) {
    const none = WORDS.none[id];
    $(`${id}-names`).replaceChildren(...[none, ...labels].map((label) => new Option(label, label)));
    $(id).value ||= none;
  }
}

/** Shows the settings that the server uses. */
export function followSettings(settings) {
  for (const id of LABELS) {
    setIfIdle($(id), settings[id] ?? WORDS.none[id]);
    $(id).title = $(id).value; // a long name does not fit into the field
  }
  setIfIdle($("method"), settings.method);
  setIfIdle($("smooth"), settings.smooth_s);
  showSmoothing();
}

/** Shows which model explains, and how a change to another one goes. */
export function followModels(message) {
  models = message;
  const { current, choices, loading, failed } = message, field = $("model");
  $("model-row").hidden = false;
  $("model-names").replaceChildren(...choices.map(([name, title]) => new Option(title, name)));
  field.disabled = loading !== null;
  if (document.activeElement !== field) field.value = loading ?? current;
  $("model-note").textContent = loading ? WORDS.loading(loading, current) : failed;
}

function makeMethod({ name, title, cost, why }) {
  const item = new Option(name, name);
  item.disabled = Boolean(why);
  if (why) item.title = item.label = WORDS.notUsable(name, why);
  else item.title = WORDS.methodTitle(title, cost);
  return item;
}

/**
 * Makes a field whose list shows all of `names()` when the user begins to type, and which takes nothing but one of them, or a part
 * that only one of them has; `take(name)` gets it, and `refusal(words)` says what is wrong with anything else.
 */
function makeChooser(field, { names, take, refusal }) {
  let before = "";
  field.addEventListener("focus", () => {
    before = field.placeholder = field.value;
    field.value = "";
  });
  field.addEventListener("blur", () => { if (!field.value) field.value = before; });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") field.blur(); });
  field.addEventListener("change", () => {
    const words = field.value.trim(), known = findName(names(), words);
    if (!words) return;
    if (known === undefined) noticeBriefly(refusal(words));
    field.value = known ?? before;
    if (known !== undefined) take(known);
    field.blur();
  });
}

/** Returns the name that reads like `words`, or the only one that contains them. */
function findName(names, words) {
  const low = words.toLowerCase(), partly = names.filter((name) => name.toLowerCase().includes(low));
  return partly.find((name) => name.toLowerCase() === low) ?? (partly.length === 1 ? partly[0] : undefined);
}

function setIfIdle(control, value) {
  if (clock.now() - chosenAt > SETTLE_MS && document.activeElement !== control) control.value = value;
}

const chosenLabel = (id) => ($(id).value === WORDS.none[id] ? null : $(id).value);

function showSmoothing() { document.querySelector("output[for=smooth]").textContent = WORDS.seconds(Number($("smooth").value)); }
