// The picture that is kept of an event, in a dialog.

import { $ } from "./elements.js";
import { pictureOf } from "./events.js";
import { WORDS } from "./words.js";

/** The part of an address behind `#` that has an event's picture shown. */
export const hashOf = (event) => `#event-${event.number}`;

/** Shows the kept picture of an event, and what is known of it. */
export function showEvent(event) {
  $("event-title").textContent = event.action;
  $("event-facts").textContent = WORDS.eventFacts(event);
  $("event-picture").hidden = !event.picture;
  if (event.picture) $("event-picture").src = pictureOf(event);
  $("event-picture").alt = WORDS.eventPicture(event);
  $("event").showModal();
}

/** Shows the event that the page's address names, once. */
export function showIfAsked(event) {
  if (location.hash !== hashOf(event) || !event.picture) return;
  history.replaceState(null, "", location.pathname + location.search);
  showEvent(event);
}
