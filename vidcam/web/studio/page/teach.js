// What is to be taught: actions, each with a name and clips that are recorded or dropped.
const root = element.firstElementChild, W = WORDS.teach, typed = new Map(); // the names that the server may not know yet
const list = make("ol", "actions"), notice = make("p", "notice"), sending = makeSending();
const studio = make("div", "studio"), whose = make("p", "big");
let filmed = null; // the action whose clips the open camera records
const say = text => { notice.textContent = text; };
notice.setAttribute("role", "alert");
const another = button("", W.add, () => trigger("submit"));
root.append(
  make("h2", "sentence", W.title),
  make("p", "soft", W.help),
  studio, list, sending, notice, another,
);
studio.hidden = true;

async function add(action, files) {
  let taken = false;
  for (const file of files) taken = await sendVideo(file, file.name, `&action=${action.number}`, { say, sending }) || taken;
  if (taken) trigger("upload");
}

/** Opens the camera for an action; an open one records that from now on. It lies outside of the list, which is drawn anew. */
function film(action, place) {
  filmed = action;
  whose.textContent = W.clipsOf(typed.get(action.number) || action.label || W.action(place));
  if (studio.hidden) recordVideo({
    place: studio, say, again: true, use: file => add(filmed, [file]),
    opened: () => { studio.hidden = false; studio.append(whose); }, closed: () => { studio.hidden = true; },
  });
  root.scrollIntoView();
}

function clipOf(action, clip, what) {
  const box = make("li"), video = make("video"), play = button("open", "", () => video.paused ? video.play().catch(() => {}) : video.pause());
  Object.assign(video, { src: clip.url, poster: clip.poster, muted: true, loop: true, playsInline: true, preload: "none" });
  play.append(video);
  for (const [kind, act] of [["pointerenter", () => video.play().catch(() => {})], ["pointerleave", () => video.pause()]]) {
    play.addEventListener(kind, event => { if (event.pointerType === "mouse") act(); }); // clips of one person begin alike
  }
  play.setAttribute("aria-label", W.play(what));
  const gone = button("quiet", W.remove, () => trigger("delete", { action: action.number, clip: clip.number }));
  gone.setAttribute("aria-label", W.removeClip(what));
  const under = make("div", "under");
  under.append(make("span", "num soft", clip.facts), gone);
  box.append(play, under);
  return box;
}

function actionOf(action, place) {
  const box = make("li", "action"), field = make("input", "name"), row = make("div", "pair"), clips = make("ul", "clips");
  const chooser = makeChooser(W.files(place), files => add(action, files));
  Object.assign(field, { value: typed.get(action.number) ?? action.label, maxLength: 40, placeholder: W.hint(place), autocomplete: "off" });
  field.dataset.number = action.number;
  field.setAttribute("aria-label", W.name(place));
  field.addEventListener("input", () => typed.set(action.number, field.value));
  field.addEventListener("change", () => trigger("input", { names: [[action.number, field.value]] }));
  const record = button("", W.record, () => film(action, place));
  const choose = button("", W.choose, () => chooser.click()), gone = button("quiet", W.remove, () => trigger("delete", { action: action.number }));
  record.setAttribute("aria-label", W.recordName(place));
  choose.setAttribute("aria-label", W.chooseName(place));
  gone.setAttribute("aria-label", W.removeAction(place));
  row.append(field, record, choose, gone, chooser);
  clips.append(...action.clips.map((clip, n) => clipOf(action, clip, W.clip(n + 1, place))));
  box.append(row, action.clips.length ? clips : make("p", "soft", W.empty));
  takeDrops(box, files => add(action, files), over => box.classList.toggle("over", over));
  return box;
}

function draw() {
  const { actions = [], full } = props.value ?? {}, at = document.activeElement?.dataset?.number;
  list.replaceChildren(...actions.map((action, n) => actionOf(action, n + 1)));
  if (at) list.querySelector(`.name[data-number="${at}"]`)?.focus();
  another.hidden = !!full;
}
watch("value", draw);
draw();
