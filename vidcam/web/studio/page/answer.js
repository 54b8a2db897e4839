// The answer in figures, the verdict on its evidence, the files and the warnings.
const root = element.firstElementChild, W = WORDS.answer, stale = make("p", "stale");
stale.setAttribute("role", "status");

function verdict({ word, label, why, figures, only }) {
  const box = make("div", "verdict"), head = make("p", "head"), reason = make("p", "soft", why);
  box.dataset.word = word;
  head.append(make("span", "chip", word), make("span", "", W.evidenceFor(label)));
  reason.title = figures;
  box.append(head, reason);
  if (only) box.append(make("p", "only", only));
  return box;
}

function unseen({ words, cover }) {
  const box = make("p", "unseen", words);
  if (cover) box.append(" ", button("small", cover, () => trigger("select", { cover: true })));
  return box;
}

function notes(warnings) {
  const box = make("details", "notes"), list = make("ul");
  list.append(...warnings.map(words => make("li", "", words)));
  box.append(make("summary", "", W.notes(warnings.length)), list);
  return box;
}

/** Asks for a file, which is drawn as the player shows the evidence. */
function download(kind) {
  const player = document.querySelector(".vc-stage .holder .vp")?.player;
  trigger("download", { kind, ...(player && { look: player.lookNow(), only: player.state.chosen }) });
}

function draw() {
  const v = props.value ?? {};
  root.replaceChildren();
  root.hidden = !v.top;
  if (!v.top) return;
  root.append(stale);
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
  if (v.unseen) root.append(unseen(v.unseen));
  root.append(make("p", "facts soft", v.facts.join(" · ")));
  if (v.warnings.length) root.append(notes(v.warnings));
  const files = make("p", "files");
  files.append(make("span", "soft", W.download), ...v.files.map(({ kind, title }) => button("small", title, () => download(kind))));
  root.append(files);
  saveFile(v.saved);
}
/** Says that the controls ask something else by now. */
function mark() {
  stale.textContent = props.stale ?? "";
  root.classList.toggle("old", !!props.stale);
}
watch("value", draw);
watch("stale", mark);
draw();
mark();
