// The page of the comparison, in a frame as high as the page: all methods, or both models, in step in one player, with cost and agreement.
const root = element.firstElementChild, W = WORDS.compared, tab = element.closest("[role=tabpanel]") ?? root;
const annotate = () => document.querySelector("#tabs [role=tab]")?.click();

const objections = new MutationObserver(([{ target }]) => target.textContent && annotate());

/** Gives what is dropped to the stage of Annotate. Several files, and what the stage says against one, are shown there. */
const hear = area => takeDrops(area, files => {
  const stage = document.querySelector(".vc-stage"), chooser = stage.querySelector("input[type=file]");
  if (files.length > 1) annotate();
  objections.observe(stage.querySelector(".notice"), { childList: true });
  chooser.files = files;
  chooser.dispatchEvent(new Event("change"));
}, over => { root.style.outline = over ? "2px dashed var(--vc-accent)" : ""; });
hear(tab);

function draw() {
  const { value: v, input } = props;
  root.replaceChildren();
  if (!v) {
    const empty = make("div", "hint");
    if (input) {
      empty.append(image(input.poster), make("p", "", `${input.name} · ${input.facts}`), make("p", "soft", W.ready));
    } else {
      empty.append(make("p", "", W.empty), button("go", W.choose, annotate));
    }
    root.append(empty);
    return;
  }
  const frame = make("iframe"), files = make("p", "files");
  Object.assign(frame, { title: W.frame, src: v.page, allow: "fullscreen" });
  frame.addEventListener("load", () => {
    const page = frame.contentDocument.documentElement;
    hear(page);
    new ResizeObserver(() => { frame.style.height = `${page.scrollHeight + 2}px`; }).observe(page);
  });
  for (const { name, url } of v.files) files.append(Object.assign(make("a", "", name), { href: url, download: name }));
  root.append(frame, files);
}
watch(["value", "input"], draw);
draw();
