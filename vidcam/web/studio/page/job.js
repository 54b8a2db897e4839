// The job: its progress, how long it will take, or why it failed.
const root = element.firstElementChild, W = WORDS.job;
root.setAttribute("role", "status");
root.innerHTML = `<p class="finding"></p><p class="words"></p><div class="bar"><i></i></div>`;
const words = root.querySelector(".words"), fill = root.querySelector("i"), finding = root.querySelector(".finding");
const time = s => s < 60 ? `${Math.max(1, Math.round(s))} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;

function show() {
  const job = props.value ?? {}, { state, stage, done, total } = job;
  const isNew = state !== root.dataset.state;
  root.dataset.state = state;
  root.classList.toggle("anew", ["waiting", "running"].includes(state) && job.keeps && !job.shown); // the answer on the page is the old one
  if (state === "failed") words.textContent = job.message; // before it is scrolled to, or the page moves on
  // It was hidden until now. A download must not move the page under the pointer.
  if (isNew && (state === "failed" || state !== "idle" && job.keeps)) root.scrollIntoView({ block: "nearest" });
  finding.textContent = job.finding && !job.shown && state === "running" ? W.finding(job.finding) : "";
  if (["idle", "failed"].includes(state)) return; // it is hidden then, or says why
  if (state === "cancelled") { words.textContent = job.shown ? W.stoppedEarly : W.stopped; return; }
  if (job.stopping) { words.textContent = W.stopping; return; }
  if (state === "waiting") {
    words.textContent = job.before > 0 ? W.waiting(job.before) : W.stages[""];
    fill.style.width = "0";
    return;
  }
  const unit = stage === "weights" && total ? W.megabytes(done, total) : "";
  const left = job.left_s != null ? W.left(time(job.left_s)) : job.spent_s >= 2 ? W.spent(time(job.spent_s)) : "";
  const [, turn = "", step] = /^(.*: )?(.*)$/.exec(stage); // which of several videos
  words.textContent = turn + (W.stages[step] ?? W.method(step)) + unit + left;
  root.classList.toggle("unsure", !total);
  fill.style.width = `${100 * job.share}%`;
}
watch("value", show);
show();
