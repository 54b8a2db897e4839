// The runs of this browser: a card each. One opens by a click; two that are ticked open in step.
const root = element.firstElementChild, ticked = new Set();

function card(run) {
  const box = make("li", "run"), open = button("open", "", () => trigger("select", { numbers: [run.number] }));
  const under = make("div", "under"), tick = make("label"), input = Object.assign(make("input"), { type: "checkbox", checked: ticked.has(run.number) });
  open.append(image(run.picture), make("b", "", run.sentence), make("span", "soft", run.name), make("span", "soft", run.facts));
  open.title = `Open ${run.name}: ${run.sentence}`;
  input.addEventListener("change", () => {
    if (input.checked) ticked.add(run.number); else ticked.delete(run.number);
    if (ticked.size === 2) trigger("select", { numbers: [...ticked] });
    if (ticked.size > 1) { ticked.clear(); draw(); }
  });
  tick.append(input, "Side by side");
  tick.title = "Select two runs to play them side by side";
  under.append(tick);
  if (run.verdict) under.append(Object.assign(make("span", "chip", run.verdict), { title: "Does the answer depend on this evidence?" }));
  const gone = button("quiet", "Delete", () => trigger("delete", { number: run.number }));
  gone.setAttribute("aria-label", `Delete the run of ${run.name}: ${run.sentence}`);
  under.append(gone);
  box.append(open, under);
  return box;
}

function draw() {
  const { cards = [], saved } = props.value ?? {};
  root.hidden = !cards.length;
  const list = make("ul", "cards"), head = make("div", "head"), all = button("quiet", "Delete all", () => {
    if (confirm("Delete all runs? Their files on this machine are deleted too.")) trigger("delete", { number: "all" });
  });
  head.append(make("h3", "", "Runs"), make("span", "soft", "Kept on this machine. Select two to play them side by side."), button("quiet", "Download all (.zip)", () => trigger("download", {})), all);
  list.append(...cards.map(card));
  root.replaceChildren(head, list);
  saveFile(saved);
}
watch("value", draw);
draw();
