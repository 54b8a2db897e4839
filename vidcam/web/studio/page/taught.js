// A taught model: how good it is on the clips that were kept aside, its mistakes, and how to use it elsewhere.
const root = element.firstElementChild, W = WORDS.taught;

function draw() {
  const { sentence, mistakes = [], remarks = [], pages = [], folder, saved } = props.value ?? {};
  root.dataset.state = sentence ? "known" : "empty";
  root.replaceChildren();
  if (!sentence) return;
  const wrong = make("ul"), links = make("div", "files"), command = make("code", "", `vidcam annotate clip.mp4 --model ${folder}`), use = make("p", "soft");
  wrong.append(...mistakes.map(words => make("li", "", words)));
  links.append(...pages.map(({ title, url }) => Object.assign(make("a", "", title), { href: url, target: "_blank" })));
  use.append(W.command, command);
  root.append(make("p", "big", sentence), ...(mistakes.length ? [wrong] : []), ...remarks.map(words => make("p", "soft", words)), links, use);
  saveFile(saved);
}
watch("value", draw);
draw();
