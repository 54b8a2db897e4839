// The answer in figures, the verdict on its evidence, the files and the warnings.
const root = element.firstElementChild;

function draw() {
  const v = props.value ?? {};
  root.replaceChildren();
  root.hidden = !v.top;
  if (!v.top) return;
  const list = make("ol", "top");
  for (const [label, prob] of v.top) {
    const row = make("li", ""), bar = make("i", ""), fill = make("b", ""), n = v.shown.indexOf(label);
    if (n >= 0) row.className = `shown c${n % HUES}`;
    fill.style.width = `${100 * prob}%`;
    bar.append(fill);
    const name = make("span", "name", label);
    name.title = label;
    row.append(name, make("span", "num", percent(prob)), bar);
    list.append(row);
  }
  root.append(list);
  if (v.rejected?.model) {
    root.append(button("go", v.rejected.try, () => trigger("select", { model: v.rejected.model })));
  }
  if (v.verdict) {
    const box = make("div", "verdict");
    box.dataset.word = v.verdict.word;
    const head = make("p", "head");
    head.append(make("span", "chip", v.verdict.word), make("span", "", `Evidence for ${v.verdict.label}`));
    const why = make("p", "soft", v.verdict.why);
    why.title = v.verdict.figures;
    box.append(head, why);
    root.append(box);
  }
  const facts = make("p", "facts soft", v.facts.join(" · "));
  root.append(facts);
  if (v.warnings.length) {
    const notes = make("details", "notes"), list = make("ul", "");
    notes.append(make("summary", "", v.warnings.length === 1 ? "1 note" : `${v.warnings.length} notes`));
    for (const w of v.warnings) list.append(make("li", "", w));
    notes.append(list);
    root.append(notes);
  }
  root.append(fileLinks(v.files));
}
watch("value", draw);
draw();
