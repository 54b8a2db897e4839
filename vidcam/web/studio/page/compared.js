// Methods and classes side by side: a picture, the cost and the agreement of each.
const root = element.firstElementChild;

function draw() {
  const { value: v, input } = props;
  root.replaceChildren();
  if (!v) {
    const empty = make("div", "hint");
    if (input) {
      empty.append(image(input.poster), make("p", "", `${input.name} · ${input.facts}`), make("p", "soft", "Choose methods and press Compare: where do they agree?"));
    } else {
      const go = button("go", "Choose a video", () => document.querySelector("#tabs [role=tab]")?.click());
      empty.append(make("p", "", "There is no video yet."), go);
    }
    root.append(empty);
    return;
  }
  root.append(make("p", "eyebrow", `${input?.name ?? ""} · what ${v.model} sees, at ${v.peak}`));
  const grid = make("div", "grid");
  grid.style.setProperty("--columns", v.classes.length);
  grid.append(make("span", "corner"));
  for (const c of v.classes) {
    const head = make("div", "class");
    head.append(make("b", "", c.label), make("span", "num soft", c.prob));
    grid.append(head);
  }
  for (const r of v.rows) {
    const side = make("div", "method"), cost = make("div", "cost"), fill = make("i");
    fill.style.width = `${100 * r.share}%`;
    cost.append(fill);
    side.append(make("b", "", r.name), make("span", "soft", r.title), make("span", "num soft", `${r.cost} a window, ${r.times}`), cost);
    if (r.agrees) side.append(make("span", "num", `agreement ${r.agrees}`));
    if (r.blind) side.append(make("span", "chip", "one map for all classes"));
    grid.append(side);
    r.pictures.forEach((src, n) => grid.append(image(src, `${r.name}, evidence for ${v.classes[n].label}`)));
  }
  root.append(grid);
  const notes = make("ul", "notes");
  for (const n of v.notes) notes.append(make("li", "", n));
  if (v.notes.length) root.append(notes);
  const film = make("video");
  Object.assign(film, { src: v.video, controls: true, loop: true, muted: true, playsInline: true, preload: "auto" });
  root.append(film);
  root.append(fileLinks(v.files), make("p", "soft", "Agreement: how alike a method orders all places and moments to the others (rank correlation, the first class)."));
}
watch(["value", "input"], draw);
draw();
