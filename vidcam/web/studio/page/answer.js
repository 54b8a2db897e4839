// The answer in figures, the verdict on its evidence, the files and the warnings.
const root = element.firstElementChild, W = WORDS.answer;

function verdict({ word, label, why, figures }) {
  const box = make("div", "verdict"), head = make("p", "head"), reason = make("p", "soft", why);
  box.dataset.word = word;
  head.append(make("span", "chip", word), make("span", "", W.evidenceFor(label)));
  reason.title = figures;
  box.append(head, reason);
  return box;
}

function notes(warnings) {
  const box = make("details", "notes"), list = make("ul");
  list.append(...warnings.map(words => make("li", "", words)));
  box.append(make("summary", "", W.notes(warnings.length)), list);
  return box;
}

function draw() {
  const v = props.value ?? {};
  root.replaceChildren();
  root.hidden = !v.top;
  if (!v.top) return;
  const list = make("ol", "top");
  for (const [label, prob, isRejection] of v.top) {
    const row = make("li", ""), bar = make("i", ""), fill = make("b", ""), n = v.shown.indexOf(label);
    if (n >= 0) row.className = `shown c${n % HUES}`;
    fill.style.width = `${100 * prob}%`;
    bar.append(fill);
    const name = isRejection ? make("span", "name", label) : button("name", label, () => trigger("select", { label }));
    name.title = isRejection ? label : W.show(label);
    row.append(name, make("span", "num", percent(prob)), bar);
    list.append(row);
  }
  root.append(list);
  if (v.rejected?.model) root.append(button("go", v.rejected.try, () => trigger("select", { model: v.rejected.model })));
  if (v.verdict) root.append(verdict(v.verdict));
  root.append(make("p", "facts soft", v.facts.join(" · ")));
  if (v.warnings.length) root.append(notes(v.warnings));
  const files = make("p", "files");
  files.append(make("span", "soft", W.download), ...v.files.map(({ kind, title }) => button("small", title, () => trigger("download", { kind }))));
  root.append(files);
  saveFile(v.saved);
}
watch("value", draw);
draw();
