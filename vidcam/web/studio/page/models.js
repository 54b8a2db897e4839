// The models, as a table: what is on this machine, and a button to fetch the rest.
const root = element.firstElementChild, W = WORDS.models;

function draw() {
  const { rows = [], folder = "", offline = false } = props.value ?? {};
  const table = make("table", ""), head = make("thead", ""), line = make("tr", ""), body = make("tbody", "");
  for (const t of W.columns) line.append(make("th", "", t));
  head.append(line);
  for (const m of rows) {
    const row = make("tr", "");
    const name = make("td", "wide"), weights = make("td", "weights");
    name.append(make("b", "", m.name), make("span", "soft", m.title));
    name.title = m.paper;
    if (m.here) weights.append(make("span", "chip good", W.here));
    else {
      const install = button("small", W.install, () => trigger("select", { name: m.name }));
      install.disabled = Boolean(m.reason);
      install.setAttribute("aria-label", W.installName(m.name));
      if (m.reason) weights.title = install.title = m.reason;
      weights.append(install, ...m.size ? [make("span", "soft", m.size)] : []);
    }
    const accuracy = make("td", "num", m.accuracy ?? W.none);
    if (m.protocol) accuracy.append(make("span", "soft", m.protocol)); // figures on different clips cannot be compared
    const licence = make("td", "soft", m.licence ?? W.none);
    licence.title = m.licence ?? "";
    row.append(name, weights, make("td", "num", m.clip), make("td", "num", m.crop), make("td", "num", m.cells),
      make("td", "", m.exact ? W.exact : W.none), make("td", "num", String(m.classes)), accuracy, licence);
    body.append(row);
  }
  table.append(head, body);
  const scroll = Object.assign(make("div", "scroll"), { tabIndex: 0, role: "region", ariaLabel: W.title });
  scroll.append(table);
  const words = offline ? W.offline : W.source(folder);
  root.replaceChildren(make("h2", "", W.title), make("p", "soft", words), scroll);
}
watch("value", draw);
draw();
