// What the model says in figures, whether the evidence bears it, the files, and what to be careful about.
const root = element.firstElementChild;
const make = (tag, name, text = "") => { const e = document.createElement(tag); e.className = name; e.textContent = text; return e; };
const percent = p => p > 0 && p < .001 ? "< 0.1 %" : p >= .9995 && p < 1 ? "> 99.9 %" : `${(100 * p).toFixed(1)} %`;
const HUES = 6;

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
    const other = make("button", "go", v.rejected.try);
    other.type = "button";
    other.addEventListener("click", () => trigger("select", { model: v.rejected.model }));
    root.append(other);
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
  const files = make("p", "files");
  for (const f of v.files) {
    const a = make("a", "", f.title);
    a.href = f.url; a.download = f.name; a.title = `${f.name}, ${f.size}`;
    a.append(make("small", "num", f.size));
    files.append(a);
  }
  root.append(files);
}
watch("value", draw);
draw();
