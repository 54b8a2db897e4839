// The page of a folder of class folders: it filters and sorts the videos, and goes through them with the player open. It stands
// behind player.js in one script. See vidcam/reports/templates/dataset.html.j2.

const MOVED = ["Space or K", "J, L", "← →"]; // the player's keys that the page has other uses for
const PAGE_KEYS = [
  ["← → or J, K", "the previous video, the next one"], ["Space", "play or pause"], ["L", "play forwards; again for faster"],
  ["Shift+← →", "a tenth of a second"], ...WORDS.keys.filter(([key]) => !MOVED.includes(key)),
];
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
    const n = cards.length, number = `${n} of the ${all.length} listed videos`;
    if (!cell) return n === all.length ? `All ${n} listed videos.` : `${number}.`;
    const wanted = Number(cell.dataset.count), missing = wanted - all.filter(c => c.true === cell.dataset.true && c.answer === cell.dataset.answer).length;
    return `${number}: ${cell.dataset.true}, answered as ${cell.dataset.answer}.${missing ? ` ${missing} more of them ${missing > 1 ? "are" : "is"} only in the JSON and the CSV.` : ""}`;
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
    const words = label === answer ? `${label}, right` : `${label}, answered as ${answer}`;
    const step = (words, content, by) => button(words, content, () => show(at + by), { disabled: !cards[at + by] });
    dialog.replaceChildren(
      make("div", { class: "vp-head" },
        make("p", { "aria-live": "polite" }, make("strong", {}, name), ` ${words} · ${at + 1} of ${cards.length}`),
        step("Previous video (← or J)", "Previous", -1), step("Next video (→ or K)", "Next", 1),
        button("Close (Esc)", "Close", () => dialog.close())),
      holder);
    if (!dialog.open) dialog.showModal();
    if (data[number]) player = createPlayer(holder, data[number], part => partOf(`${number}-${part}`), { hash: false, keys: false, keyRows: PAGE_KEYS });
    else holder.append(element.querySelector(".images").cloneNode(true), make("p", { class: "soft" }, "This page plays the most surprising mistakes and the most doubtful right answers; of this video it has pictures only."));
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
