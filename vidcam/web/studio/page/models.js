// The models, as a table: what is on this machine, and a button to fetch the rest.
const root = element.firstElementChild;

function draw() {
  const { rows = [], folder = "", offline = false } = props.value ?? {};
  const table = make("table", ""), head = make("thead", ""), line = make("tr", ""), body = make("tbody", "");
  for (const t of ["Model", "Weights", "Looks at", "Picture", "Time cells", "CAM", "Classes", "Top-1", "Licence"]) line.append(make("th", "", t));
  head.append(line);
  for (const m of rows) {
    const row = make("tr", "");
    const name = make("td", "wide"), weights = make("td", "weights");
    name.append(make("b", "", m.name), make("span", "soft", m.title));
    name.title = m.paper;
    if (m.here) weights.append(make("span", "chip good", "here"));
    else {
      const install = button("small", "Install", () => trigger("select", { name: m.name }));
      install.disabled = Boolean(m.reason);
      install.setAttribute("aria-label", `Install ${m.name}`);
      if (m.reason) weights.title = install.title = m.reason;
      weights.append(install);
    }
    const accuracy = make("td", "num", m.accuracy ?? "–");
    accuracy.title = m.protocol ?? "";
    const licence = make("td", "soft", m.licence ?? "–");
    licence.title = m.licence ?? "";
    row.append(name, weights, make("td", "num", m.clip), make("td", "num", m.crop), make("td", "num", m.cells),
      make("td", "", m.exact ? "exact" : "–"), make("td", "num", String(m.classes)), accuracy, licence);
    body.append(row);
  }
  table.append(head, body);
  const scroll = Object.assign(make("div", "scroll"), { tabIndex: 0, role: "region", ariaLabel: "Models" });
  scroll.append(table);
  const words = offline
    ? "VIDCAM_OFFLINE is set: nothing is fetched, so what is not here cannot be installed."
    : `What is fetched comes from its publishers, is checked, and is kept in ${folder}.`;
  root.replaceChildren(make("h2", "", "Models"), make("p", "soft", words), scroll);
}
watch("value", draw);
draw();
