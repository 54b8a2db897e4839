// The page of a folder of class folders: it filters and sorts the videos, and goes through them with the player open. It stands
// behind player.js in one script. See vidcam/reports/templates/dataset.html.j2.

// --- words: all that the page's script says or shows

const CASE_WORDS = {
  all: count => `All ${count} listed videos.`, some: (shown, all) => `${shown} of the ${all} listed videos.`,
  cell: (shown, all, label, answer) => `${shown} of the ${all} listed videos: ${label}, answered as ${answer}.`,
  missing: count => ` ${count} more of them ${count > 1 ? "are" : "is"} only in the JSON and the CSV.`,
  right: label => `${label}, right`, wrong: (label, answer) => `${label}, answered as ${answer}`, place: (place, count) => `${place} of ${count}`,
  previous: "Previous", previousTitle: "Previous video (← or J)", next: "Next", nextTitle: "Next video (→ or K)", close: "Close", closeTitle: "Close (Esc)",
  picturesOnly: "Only pictures of this video are shown here. The page plays the most surprising mistakes and the most doubtful right answers.",
  keys: [["← → or J, K", "previous video, next video"], ["Space", "play or pause"], ["L", "play forwards; again for faster"], ["Shift+← →", "a tenth of a second"]],
};

const MOVED = ["Space or K", "J, L", "← →"]; // the player's keys that the page has other uses for
const PAGE_KEYS = [...CASE_WORDS.keys, ...WORDS.keys.filter(([key]) => !MOVED.includes(key))];
const IN_ORDER = {
  surprise: (a, b) => b.surprise - a.surprise,
  name: (a, b) => a.name.localeCompare(b.name),
  class: (a, b) => a.true.localeCompare(b.true) || b.surprise - a.surprise,
};
const KINDS = {
  all: () => true,
  mistake: card => card.true !== card.answer,
  suspicion: card => card.suspicious,
  right: card => card.true === card.answer,
};

/** Returns what the page knows of each video that it lists. */
const readCards = () => [...document.querySelectorAll(".case")].map(element => {
  const { number, name, true: label, answer, surprise, suspicion } = element.dataset;
  return { element, number, name, true: label, answer, surprise: Number(surprise), suspicious: suspicion !== undefined };
});

/** Shows the videos that are asked for, in the order that is asked for; `cards()` returns them. */
const createList = () => {
  const $ = id => document.getElementById(id), all = readCards(), cells = [...document.querySelectorAll(".confusion button")];
  let cards = all, cell = null;
  const fits = card => KINDS[$("kind").value](card)
    && (!$("class").value || [card.true, card.answer].includes($("class").value))
    && (!cell || card.true === cell.dataset.true && card.answer === cell.dataset.answer);
  const sentence = () => {
    const n = cards.length;
    if (!cell) return n === all.length ? CASE_WORDS.all(n) : CASE_WORDS.some(n, all.length);
    const wanted = Number(cell.dataset.count), missing = wanted - all.filter(c => c.true === cell.dataset.true && c.answer === cell.dataset.answer).length;
    return CASE_WORDS.cell(n, all.length, cell.dataset.true, cell.dataset.answer) + (missing ? CASE_WORDS.missing(missing) : "");
  };
  const show = () => {
    cards = all.filter(fits).sort(IN_ORDER[$("order").value]);
    for (const { element } of all) element.hidden = true;
    for (const { element } of cards) element.hidden = false;
    $("cases").append(...cards.map(card => card.element));
    for (const one of cells) one.setAttribute("aria-pressed", one === cell);
    $("shown").textContent = sentence();
  };
  for (const one of cells) one.addEventListener("click", () => {
    cell = cell === one ? null : one;
    $("kind").value = "all";
    $("class").value = "";
    show();
  });
  for (const id of ["kind", "class", "order"]) $(id).addEventListener("change", show);
  $("everything").addEventListener("click", () => {
    cell = null;
    $("kind").value = "all";
    $("class").value = "";
    show();
  });
  show();
  return { cards: () => cards };
};

/** Starts the page: a click on a video opens it, and the arrow keys go on to the next one that is shown. */
export const startCases = () => {
  const data = JSON.parse(textOf("data")), dialog = document.getElementById("case");
  if (!document.getElementById("cases")) return null; // no video could be read
  const list = createList();
  let player = null, at = 0;
  const stop = () => {
    if (!player) return;
    player.video.pause();
    player.video.removeAttribute("src");
    player.video.load();
    player = null;
  };
  const show = to => {
    const cards = list.cards();
    if (!cards[to]) return;
    stop();
    at = to;
    const { element, number, name, true: label, answer } = cards[to], holder = make("div", { tabIndex: -1 });
    const words = label === answer ? CASE_WORDS.right(label) : CASE_WORDS.wrong(label, answer);
    const step = (words, content, by) => button(words, content, () => show(at + by), { disabled: !cards[at + by] });
    dialog.replaceChildren(
      make("div", { class: "vp-head" },
        make("p", { "aria-live": "polite" }, make("strong", {}, name), ` ${words} · ${CASE_WORDS.place(at + 1, cards.length)}`),
        step(CASE_WORDS.previousTitle, CASE_WORDS.previous, -1), step(CASE_WORDS.nextTitle, CASE_WORDS.next, 1),
        button(CASE_WORDS.closeTitle, CASE_WORDS.close, () => dialog.close())),
      holder);
    if (!dialog.open) dialog.showModal();
    if (data[number]) player = createPlayer(holder, data[number], part => partOf(`${number}-${part}`), { hash: false, keys: false, keyRows: PAGE_KEYS });
    else holder.append(element.querySelector(".images").cloneNode(true), make("p", { class: "soft" }, CASE_WORDS.picturesOnly));
    holder.focus({ preventScroll: true });
  };
  const KEYS_BY = { ArrowLeft: -1, ArrowRight: 1, j: -1, k: 1 };
  dialog.addEventListener("keydown", event => {
    const by = KEYS_BY[event.key];
    if (!by || event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("input, select, [role=slider], .vp-help")) return; // there the arrows belong to the control
    event.preventDefault();
    event.stopPropagation(); // the player has other uses for these keys
    show(at + by);
  }, true);
  dialog.addEventListener("close", () => { stop(); dialog.replaceChildren(); list.cards()[at]?.element.querySelector("button").focus(); });
  document.getElementById("cases").addEventListener("click", event => {
    const chosen = event.target.closest("button, .images")?.closest(".case");
    if (chosen) show(list.cards().findIndex(card => card.element === chosen));
  });
  return { open: show };
};
