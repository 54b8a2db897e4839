// The sentence at the foot of the picture.

import { clock } from "./clock.js";
import { $ } from "./elements.js";

const SHORT_MS = 6000;
let timer = 0;

/** Shows a sentence until the next one; an empty one hides it. */
export function notice(sentence, forMs = 0) {
  clock.forget(timer);
  timer = 0;
  $("notice").hidden = !sentence;
  $("notice").firstElementChild.textContent = sentence;
  if (forMs) timer = clock.later(() => notice(""), forMs);
}

/** Shows a sentence for some seconds. */
export const noticeBriefly = (sentence, forMs = SHORT_MS) => notice(sentence, forMs);

/** Hides a sentence that says how the source is; one that is shown for some seconds stays. */
export const hideNotice = () => { if (!timer) notice(""); };
