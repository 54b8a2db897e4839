// A menu that says what each choice is, and why some cannot be chosen. If its value is a list, several can be chosen.
const root = element.firstElementChild, id = `menu-${Math.random().toString(36).slice(2, 8)}`;
const label = make("span", "label", props.label);
const face = button("face", "", () => open(list.hidden));
face.setAttribute("aria-haspopup", "listbox");
face.setAttribute("aria-expanded", "false");
label.id = `${id}-label`;
face.setAttribute("aria-labelledby", `${id}-label ${id}-face`);
face.id = `${id}-face`;
const list = make("ul", "list"), note = make("p", "note");
list.setAttribute("role", "listbox");
list.setAttribute("aria-labelledby", label.id);
list.tabIndex = -1;
list.hidden = true;
note.setAttribute("role", "status");
root.append(label, face, list, note);
let at = -1, typed = "", last = -Infinity;

const several = () => Array.isArray(props.value);
const chosen = name => several() ? props.value.includes(name) : props.value === name;
const options = () => [...list.querySelectorAll("[role=option]")];

function draw() {
  const items = props.items ?? [], mine = items.filter(i => chosen(i.name));
  face.replaceChildren(make("b", "", mine.map(i => i.name).join(", ") || "none"));
  if (!several() && mine[0]) face.append(make("span", "soft", mine[0].title));
  note.textContent = props.note || "";
  if (several()) list.setAttribute("aria-multiselectable", "true");
  list.replaceChildren();
  let group = null;
  items.forEach((item, n) => {
    if (item.group !== group) {
      const head = make("li", "group", group = item.group);
      head.setAttribute("role", "presentation");
      list.append(head);
    }
    const row = make("li", "item");
    row.id = `${id}-${n}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", chosen(item.name));
    row.dataset.name = item.name;
    const head = make("span", "head");
    head.append(make("b", "", item.name), make("span", "soft", item.title));
    row.append(head);
    if (item.reason) {
      row.setAttribute("aria-disabled", "true");
      row.append(make("span", "reason", item.reason));
    } else row.append(make("span", "detail", item.detail));
    row.addEventListener("click", () => choose(row));
    list.append(row);
  });
}

function open(yes) {
  if (list.hidden !== yes) return;
  list.hidden = !yes;
  face.setAttribute("aria-expanded", yes);
  if (!yes) return;
  const below = innerHeight - face.getBoundingClientRect().bottom;
  list.classList.toggle("up", below < 300 && face.getBoundingClientRect().top > below);
  list.focus({ preventScroll: true });
  point(Math.max(0, options().findIndex(o => o.getAttribute("aria-selected") === "true")));
}

function point(n) {
  const all = options();
  all[at]?.classList.remove("at");
  at = Math.min(Math.max(0, n), all.length - 1);
  all[at]?.classList.add("at");
  if (all[at]) list.setAttribute("aria-activedescendant", all[at].id);
  const row = all[at];
  if (row && (row.offsetTop < list.scrollTop || row.offsetTop + row.offsetHeight > list.scrollTop + list.clientHeight))
    list.scrollTop = row.offsetTop - list.clientHeight / 3;
}

function choose(row) {
  if (!row || row.getAttribute("aria-disabled")) return;
  const name = row.dataset.name;
  if (several()) {
    props.value = chosen(name) ? props.value.filter(n => n !== name) : [...props.value, name];
    const top = list.scrollTop, where = at;
    draw();
    list.scrollTop = top;
    at = -1;
    point(where);
  } else {
    props.value = name;
    draw();
    open(false);
    face.focus();
  }
  trigger("input");
}

face.addEventListener("keydown", e => { if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); open(true); } });
list.addEventListener("keydown", e => {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 6, PageUp: -6, Home: -999, End: 999 }[e.key];
  if (step) { e.preventDefault(); point(at + step); }
  else if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(options()[at]); }
  else if (e.key === "Escape" || e.key === "Tab") { open(false); face.focus(); }
  else if (e.key.length === 1) {
    typed = e.timeStamp - last < 800 ? typed + e.key.toLowerCase() : e.key.toLowerCase();
    last = e.timeStamp;
    const found = options().findIndex(o => o.dataset.name.startsWith(typed));
    if (found >= 0) point(found);
  }
});
document.addEventListener("pointerdown", e => { if (!root.contains(e.target)) open(false); });
watch(["value", "items", "note"], draw);
draw();
