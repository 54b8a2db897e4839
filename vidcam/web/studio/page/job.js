// The job: its progress, how long it will take, or why it failed.
const root = element.firstElementChild;
root.setAttribute("role", "status");
root.innerHTML = `<p class="finding"></p><p class="words"></p><div class="bar"><i></i></div>`;
const words = root.querySelector(".words"), fill = root.querySelector("i"), finding = root.querySelector(".finding");
const WORDS = { "": "Starting", load: "Loading the model", weights: "Downloading the weights", look: "Reading the video",
  explain: "Looking for evidence", "fill in": "Looking again for an answer that came late", convert: "Converting the video for the browser",
  "try methods": "Trying methods", "test methods": "Testing the methods",
  judge: "Testing the evidence: what happens if it is hidden, or other places are", decode: "Reading the clips", train: "Teaching", test: "Testing", inspect: "Testing the model on the clips kept aside", draw: "Drawing the MP4", write: "Writing the file" };

const time = s => s < 60 ? `${Math.max(1, Math.round(s))} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;

function show() {
  const job = props.value ?? {}, { state, stage, done, total } = job;
  if (state !== root.dataset.state && state !== "idle") root.scrollIntoView({ block: "nearest" });
  root.dataset.state = state;
  finding.textContent = job.finding && !job.shown && state === "running" ? `So far: ${job.finding}` : "";
  if (state === "idle") return; // it is hidden then
  if (state === "failed") { words.textContent = job.message; return; }
  if (state === "cancelled") { words.textContent = job.shown ? "Stopped. What was found is kept." : "Stopped. Nothing was kept."; return; }
  if (job.stopping) { words.textContent = "Stopping"; return; }
  if (state === "waiting") {
    words.textContent = job.before > 0 ? `Waiting: ${job.before} ${job.before === 1 ? "other comes" : "others come"} first` : "Starting";
    fill.style.width = "0";
    return;
  }
  const unit = stage === "weights" && total ? ` · ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB` : "";
  const left = job.left_s != null ? ` · about ${time(job.left_s)} left` : job.spent_s >= 2 ? ` · ${time(job.spent_s)} so far` : "";
  const [, turn = "", step] = /^(.*: )?(.*)$/.exec(stage); // which of several videos
  words.textContent = turn + (WORDS[step] ?? `Explaining by ${step.replace(/^explain by /, "")}`) + unit + left;
  root.classList.toggle("unsure", !total);
  fill.style.width = `${100 * job.share}%`;
}
watch("value", show);
show();
