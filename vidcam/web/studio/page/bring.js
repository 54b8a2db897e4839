// Bringing a video: a file is sent to the session, or one is recorded with the camera.

let session = null;

/** Returns a promise of the session, which comes a while after the page. */
const whenKnown = () => session ??= new Promise(found => {
  const look = () => { if (props.value?.token) found(props.value); };
  watch("value", look);
  look();
});

/** Sends a video to the session; gives whether it was taken. `say` shows a sentence, `sending` is a paragraph over a bar. */
async function sendVideo(blob, name, query, how) {
  how.say("");
  how.sending.firstElementChild.textContent = WORDS.bring.sending(name);
  how.sending.querySelector("i").style.width = "0";
  how.sending.hidden = false;
  return await sendTo(await whenKnown(), blob, name, query, how);
}

const sendTo = ({ token, size, tooLarge }, blob, name, query, { say, sending }) => new Promise(done => {
  const [text, fill] = [sending.firstElementChild, sending.querySelector("i")];
  if (blob.size > size) { sending.hidden = true; say(tooLarge.replace("{name}", () => name)); done(false); return; }
  const request = new XMLHttpRequest();
  request.open("POST", `media/${token}?name=${encodeURIComponent(name)}${query}`);
  request.upload.onprogress = e => {
    fill.style.width = `${100 * e.loaded / e.total}%`;
    text.textContent = e.loaded < e.total ? WORDS.bring.sending(name) : WORDS.bring.checking(name);
  };
  request.onloadend = () => {
    sending.hidden = true;
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* told below */ }
    if (request.status !== 200) say(answer.error ?? WORDS.bring.notSent);
    done(request.status === 200);
  };
  request.send(blob);
});

/** Makes the hidden control that chooses video files; `use` gets them. */
function makeChooser(label, use) {
  const chooser = Object.assign(make("input"), { type: "file", accept: "video/*,image/gif,.mkv,.avi,.webm,.mov", hidden: true, multiple: true });
  chooser.setAttribute("aria-label", label);
  chooser.addEventListener("change", () => use([...chooser.files]));
  return chooser;
}

/** Gives the files that are dropped on an area to `use`; `mark` is told whether files are held over it. */
const takeDrops = (area, use, mark) => {
  for (const kind of ["dragover", "dragleave", "drop"]) area.addEventListener(kind, e => {
    if (!e.dataTransfer?.types.includes("Files")) return;
    e.preventDefault();
    mark(kind === "dragover");
    if (kind === "drop" && e.dataTransfer.files.length) use(e.dataTransfer.files);
  });
};

/** Makes a paragraph over a bar, hidden, for `sendVideo`. */
function makeSending() {
  const sending = make("div", "sending"), bar = make("div", "bar");
  bar.append(make("i"));
  sending.append(make("p"), bar);
  sending.hidden = true;
  return sending;
}

const READY_S = 3, CLIP_S = 4; // of a series

/**
 * Opens the camera in a box at the beginning of `place`; `use` gets the file that was recorded. It stays open for others if `again`.
 * `opened` is called when there is a picture, and `closed` at the end.
 */
async function recordVideo({ place, say, use, opened, closed, again = false }) {
  say("");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: false });
  } catch (error) {
    say(error.name === "NotFoundError" ? WORDS.bring.noCamera : WORDS.bring.noAccess);
    return;
  }
  const box = make("div", "recorder"), eye = make("video"), row = make("div", "pair"), seconds = make("span", "num");
  eye.srcObject = stream;
  eye.muted = eye.playsInline = true;
  eye.play().catch(() => {}); // it may be closed before
  const type = ["video/webm;codecs=vp8", "video/webm", "video/mp4"].find(t => MediaRecorder.isTypeSupported(t));
  let recorder, kept, closing = false, began = 0, next = null; // `next` is what is due in a series of clips
  const tick = setInterval(() => {
    if (!box.checkVisibility()) leave(); // a hidden tab must not use a camera
    else if (recorder.state === "recording") seconds.textContent = timeText((performance.now() - began) / 1000);
  }, 100);
  const leave = () => {
    clearTimeout(next);
    closing = true;
    if (recorder.state === "inactive") close(); else end(false);
  };
  const close = () => { clearInterval(tick); stream.getTracks().forEach(t => t.stop()); box.remove(); closed(); };
  const ready = () => {
    const parts = [];
    recorder = new MediaRecorder(stream, { mimeType: type });
    kept = false;
    if (next === null) start.textContent = WORDS.bring.start;
    recorder.ondataavailable = e => parts.push(e.data);
    recorder.onstop = () => {
      const taken = kept;
      if (closing || !again) close(); else ready();
      if (taken) use(new File(parts, type.includes("mp4") ? "recording.mp4" : "recording.webm", { type }));
    };
  };
  const begin = () => { recorder.start(); began = performance.now(); }, end = keep => { kept = keep; recorder.stop(); };
  const count = left => { // a series: some seconds to get ready, a clip, and again
    seconds.textContent = WORDS.bring.getReady(left);
    next = setTimeout(() => left > 1 ? count(left - 1) : take(), 1000);
  };
  const take = () => { begin(); next = setTimeout(() => { end(true); count(READY_S); }, 1000 * CLIP_S); };
  const halt = () => { clearTimeout(next); next = null; seconds.textContent = ""; if (recorder.state === "recording") end(false); else start.textContent = WORDS.bring.start; };
  const start = button("go", "", () => {
    if (next !== null) halt();
    else if (series.checked) { count(READY_S); start.textContent = WORDS.bring.stop; }
    else if (recorder.state === "inactive") { begin(); start.textContent = WORDS.bring.stopAndUse; }
    else end(true);
  });
  const series = Object.assign(make("input"), { type: "checkbox" }), hands = make("label", "soft");
  hands.append(series, ` ${WORDS.bring.handsFree(READY_S, CLIP_S)}`);
  ready();
  row.append(start, button("", again ? WORDS.bring.close : WORDS.bring.cancel, leave), seconds);
  if (again) row.append(hands);
  box.append(eye, row);
  opened();
  place.prepend(box);
}
