// The runs of this browser: a card each. One opens by a click; two that are ticked open in step, and stay ticked as long as they are open.
const root = element.firstElementChild, W = WORDS.runs, ticked = new Set();
let newest = null;

function show(...numbers) {
  if (numbers.length < 2) ticked.clear();
  trigger("select", { numbers });
  draw();
}

function card(run) {
  const box = make("li", "run"), open = button("open", "", () => show(run.number));
  const facts = `${run.facts} · ${new Date(1000 * run.made).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`; // tells runs of one video apart
  const under = make("div", "under"), tick = make("label"), input = Object.assign(make("input"), { type: "checkbox", checked: ticked.has(run.number) });
  const answer = run.actions.map(({ label }) => label).join(" → ") || run.sentence; // there is no room for the times
  open.append(image(run.picture), make("b", "", answer), make("span", "soft", run.name), make("span", "soft", facts));
  open.title = W.open(run.name, run.sentence, facts);
  input.addEventListener("change", () => {
    const wasPair = ticked.size === 2;
    if (input.checked) ticked.add(run.number); else ticked.delete(run.number);
    if (ticked.size > 2) ticked.delete([...ticked][0]); // the third takes the place of the first
    if (ticked.size === 2 || wasPair) show(...ticked);
  });
  tick.append(input, W.both);
  tick.title = W.bothTitle;
  under.append(tick);
  if (run.verdict) under.append(Object.assign(make("span", "chip", run.verdict), { title: W.verdictTitle }));
  const gone = button("quiet", W.remove, () => trigger("delete", { number: run.number }));
  gone.setAttribute("aria-label", W.removeName(run.name, run.sentence, facts));
  under.append(gone);
  box.append(open, under);
  return box;
}

function draw() {
  const { cards = [], saved } = props.value ?? {};
  if (cards[0]?.number !== newest) ticked.clear(); // a new run is shown alone
  newest = cards[0]?.number;
  for (const number of ticked) if (!cards.some(run => run.number === number)) ticked.delete(number); // it was deleted
  root.hidden = !cards.length;
  const list = make("ul", "cards"), head = make("div", "head"), all = button("quiet", W.removeAll, () => {
    if (confirm(W.sure)) trigger("delete", { number: "all" });
  });
  head.append(make("h3", "", W.title), make("span", "soft", W.note), button("quiet", W.download, () => trigger("download", {})), all);
  list.append(...cards.map(card));
  root.replaceChildren(head, list);
  saveFile(saved);
}
watch("value", draw);
draw();
