// The methods, as a table.
const root = element.firstElementChild;
const rows = props.value ?? [];
const body = make("tbody", "");
let family = null;
for (const m of rows) {
  if (m.family !== family) {
    const head = make("tr", "family"), cell = make("th", "", family = m.family);
    cell.colSpan = 5;
    head.append(cell);
    body.append(head);
  }
  const row = make("tr", "");
  const name = make("td", "wide");
  name.append(make("b", "", m.name), make("span", "soft", m.title));
  const link = /https?:\/\/\S+/.exec(m.paper);
  const paper = make("td", "paper soft", m.paper.replace(/,? *https?:\/\/\S+/, ""));
  if (link) {
    const a = make("a", "", paper.textContent);
    a.href = link[0]; a.target = "_blank"; a.rel = "noreferrer";
    paper.replaceChildren(a);
  }
  row.append(name, make("td", "", m.signed ? "for and against" : "for"), make("td", "", m.complete ? "adds up to the score" : ""),
    make("td", "soft", m.cost), paper);
  body.append(row);
}
const table = make("table", ""), head = make("thead", ""), line = make("tr", "");
for (const t of ["Method", "Evidence", "Complete", "Cost", "Paper"]) line.append(make("th", "", t));
head.append(line);
table.append(head, body);
const scroll = Object.assign(make("div", "scroll"), { tabIndex: 0, role: "region", ariaLabel: "Methods" });
scroll.append(table);
root.append(make("h2", "", "Methods"), scroll);
