// The viewer of `vidcam live`, in a frame that exists only while its tab is open: a hidden tab must not use a camera.
const root = element.firstElementChild, W = WORDS.live;
const address = () => props.value?.src; // empty: not yet
root.append(make("p", "soft", W.note));
let frame = null, seen = false, due = false; // whether to scroll there
function update() {
  root.hidden = !address();
  if (frame && (!address() || frame.getAttribute("src") !== address())) { frame.remove(); frame = null; }
  if (seen && !frame && address()) {
    frame = document.createElement("iframe");
    frame.title = W.frame;
    frame.allow = "camera; fullscreen";
    frame.src = address();
    root.append(frame);
    if (due) { root.scrollIntoView(); due = false; }
  } else if (!seen && frame && !document.fullscreenElement) {
    frame.remove();
    frame = null;
  }
}
new IntersectionObserver(entries => { seen = entries.at(-1).isIntersecting; update(); }).observe(root);
watch("value", () => { due = !!props.value?.jump; update(); if (due) root.scrollIntoView(); });
update();
