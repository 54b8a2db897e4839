// The page of the comparison, in a frame as high as the page: all methods in step in one player, their cost and agreement.
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
  const frame = make("iframe"), files = make("p", "files");
  Object.assign(frame, { title: "The comparison", src: v.page, allow: "fullscreen" });
  frame.addEventListener("load", () => {
    const page = frame.contentDocument.documentElement;
    new ResizeObserver(() => { frame.style.height = `${page.scrollHeight + 2}px`; }).observe(page);
  });
  for (const { name, url } of v.files) files.append(Object.assign(make("a", "", name), { href: url, download: name }));
  root.append(frame, files);
}
watch(["value", "input"], draw);
draw();
