// The viewer of `vidcam live`, in a frame that exists only while its tab is open: a hidden tab must not use a camera.
const root = element.firstElementChild;
root.innerHTML = `<p class="soft">Your browser's camera is explained on the machine that this page comes from. Pictures are sent there and nowhere else, and none is kept.</p>`;
let frame = null;
new IntersectionObserver(entries => {
  const seen = entries.at(-1).isIntersecting;
  if (seen && !frame) {
    frame = document.createElement("iframe");
    frame.title = "Live viewer";
    frame.allow = "camera; fullscreen";
    frame.src = "live/";
    root.append(frame);
  } else if (!seen && frame && !document.fullscreenElement) {
    frame.remove();
    frame = null;
  }
}).observe(root);
