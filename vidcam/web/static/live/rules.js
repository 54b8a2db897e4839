// The rules that make events, and the regions of the picture that rules may name.

import { button, make } from "./common.js";
import { $ } from "./elements.js";
import { RegionForm, makeOutline } from "./regions.js";
import { WORDS } from "./words.js";

export class Rules {
  /** `say(message)` sends to the server; `isMirrored()`: whether the picture is. */
  constructor({ say, isMirrored }) {
    this.say = say;
    this.known = []; // the rules that are followed
    this.isAsking = false; // whether a rule or region is the last that was asked for, and it was not granted yet
    $("rule-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask({ type: "rule", add: $("rule").value });
    });
    new RegionForm({ isMirrored, save: (name, box) => this.ask({ type: "region", name, box }) });
  }

  ask(message) {
    this.isAsking = true;
    this.showRefusal("");
    this.say(message);
  }

  /** Notes that a refusal that comes from now on is of something else. */
  settle() { this.isAsking = false; }

  /** Shows why a rule or region was refused, beside their fields; returns false if none was asked for. */
  refuse(words) {
    const isOurs = this.isAsking;
    if (isOurs) this.showRefusal(words);
    this.settle();
    return isOurs;
  }

  showRefusal(words) {
    $("refused").textContent = words;
    $("refused").hidden = !words;
  }

  /** Shows the rules and regions that the server follows. */
  update({ rules, regions }) {
    this.settle();
    this.showRefusal("");
    $("rules").replaceChildren(...rules.map(({ words, fixed }) =>
      makeRow(words, fixed, WORDS.removeRule(words), () => this.ask({ type: "rule", remove: words }))));
    $("regions").replaceChildren(...regions.map(({ name, words, fixed }) => {
      const row = makeRow(name, fixed, WORDS.removeRegion(name), () => this.ask({ type: "region", name, box: null }));
      row.title = WORDS.keepRegion(words);
      return row;
    }));
    $("outlines").replaceChildren(...regions.map(({ name, box }) => makeOutline(name, box)));
    if (rules.some(({ words }) => !this.known.includes(words))) $("rule").value = "";
    this.known = rules.map(({ words }) => words);
  }
}

/** Makes a row with a button that removes what it names, unless the command line has fixed it. */
function makeRow(words, fixed, title, remove) {
  const row = make("li");
  row.append(make("span", "", words));
  if (fixed) row.append(make("small", "", WORDS.fixed));
  else {
    const cross = button("small", "×", remove);
    cross.title = title;
    cross.setAttribute("aria-label", title);
    row.append(cross);
  }
  return row;
}
