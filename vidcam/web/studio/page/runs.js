// The runs of this browser: a card each. One opens by a click; two that are ticked open in step.
const root = element.firstElementChild, W = WORDS.runs, ticked = new Set();

function card(run) {
  const box = make("li", "run"), open = button("open", "", () => trigger("select", { numbers: [run.number] }));
  const under = make("div", "under"), tick = make("label"), input = Object.assign(make("input"), { type: "checkbox", checked: ticked.has(run.number) });
  open.append(image(run.picture), make("b", "", run.sentence), make("span", "soft", run.name), make("span", "soft", run.facts));
  open.title = W.open(run.name, run.sentence);
  input.addEventListener("change", () => {
    if (input.checked) ticked.add(run.number); else ticked.delete(run.number);
    if (ticked.size === 2) trigger("select", { numbers: [...ticked] });
    if (ticked.size > 1) { ticked.clear(); draw(); }
  });
  tick.append(input, W.both);
  tick.title = W.bothTitle;
  under.append(tick);
  if (run.verdict) under.append(Object.assign(make("span", "chip", run.verdict), { title: W.verdictTitle }));
  const gone = button("quiet", W.remove, () => trigger("delete", { number: run.number }));
  gone.setAttribute("aria-label", W.removeName(run.name, run.sentence));
  under.append(gone);
  box.append(open, under);
  return box;
}

function draw() {
  const { cards = [], saved } = props.value ?? {};
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
