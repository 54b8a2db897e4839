// The answer of the newest clip, the most probable classes, and what the colours stand for.

import { make } from "./common.js";
import { $ } from "./elements.js";
import { state } from "./state.js";
import { WORDS } from "./words.js";

/** Shows what this update says. */
export function showAnswer(news) {
  $("answer").textContent = news.top[0][0];
  const list = $("top");
  while (list.children.length < news.top.length) list.append(makeRow());
  while (list.children.length > news.top.length) list.lastChild.remove();
  news.top.forEach(([label, probability], i) => {
    const item = list.children[i], [name, share, bar] = item.children;
    if (name.textContent !== label) name.textContent = name.title = label;
    share.textContent = WORDS.share(probability);
    bar.firstChild.style.transform = `scaleX(${probability})`;
    item.classList.toggle("shown", label === news.label);
  });
  $("what").textContent = WORDS.evidenceFor(news.label, state.status?.settings.versus);
  $("what").title = WORDS.rampTitle(news.scale);
}

/** Shows no answer. */
export function clearAnswer() {
  $("answer").textContent = "\u00a0";
  $("top").replaceChildren();
  $("what").textContent = WORDS.nothingYet;
}

function makeRow() {
  const item = make("li"), bar = make("i");
  bar.append(make("b"));
  item.append(make("span"), make("span", "num"), bar);
  return item;
}
