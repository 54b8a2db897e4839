// All that the scripts of the live pages say or show. Labels that never change stay in index.html and grid.html.

/** A probability or another share as text: "86 %". It never reads as none or as certain if it is not. */
const share = (x) => (x > 0 && x < 0.005 ? "< 1 %" : x < 1 && x >= 0.995 ? "> 99 %" : `${Math.round(100 * x)} %`);
const seconds = (s, digits = 2) => `${s.toFixed(digits)} s`;
const timeOf = (event) => new Date(event.start).toLocaleTimeString();
const lengthOf = (event) => Math.max(0, event.end_s - event.start_s);

export const WORDS = {
  share, seconds,

  // the line at the top
  title: (source) => `${source} · vidcam live`, live: "live", connecting: "connecting",
  states: {
    opening: "opening", running: "", silent: "sends no pictures", frozen: "picture does not change", waiting: "reconnecting",
    ended: "ended", failed: "failed", lost: "no connection",
  },
  stateOf: (source, state) => (source ? `${source}: ${state}` : state),
  sourcesRunning: (good, all) => `${good} of ${all} sources send pictures`,
  rate: (pictures) => `${pictures.toFixed(0)} pictures/s`, rateHere: (pictures) => `, ${pictures.toFixed(0)} shown here`,
  evidenceRate: (times) => `evidence ${times.toFixed(1)} times/s`, processor: (used) => `processor ${share(used)}`,
  slow: "slow connection: some pictures are not sent", viewers: (count) => `${count} viewers`,
  factsTitle: (over_s, skipped) => `Rates are measured over the last ${over_s} seconds. Since the start, ${skipped} clips were skipped in favour of newer `
    + "ones. The processor figure is for the machine that runs vidcam.",

  // over the picture
  age: (s) => `evidence ${seconds(s)} old`, inStep: (s) => `in step, ${seconds(s)} delay`, noPictures: "no new pictures",
  paused: (back_s) => `paused · ${seconds(back_s, 1)} ago`, sameMoment: "evidence from this moment",
  otherMoment: (apart_s) => `evidence from ${seconds(Math.abs(apart_s))} ${apart_s > 0 ? "later" : "earlier"}`,
  lost: "The connection to vidcam is lost. Trying again every two seconds.",
  newModel: (name) => `The model is now ${name}.`,

  // the camera of this browser
  useCamera: "Use my camera", useCameraAgain: "Use my camera again",
  cameraStopped: "The camera stopped sending pictures. It may be unplugged or in use by another program.",
  cameraInsecure: "This browser allows cameras on secure pages only. Open this page on the machine that runs vidcam, or through https.",
  cameraErrors: {
    NotAllowedError: "The browser blocked the camera. Allow it in the address bar, then try again.",
    NotFoundError: "This device has no camera.",
    NotReadableError: "The camera is in use by another program.",
  },
  cameraError: (message) => `The camera cannot be used: ${message}`,

  // the answer
  nothingYet: "No evidence yet.",
  evidenceFor: (label, versus) => `Evidence for ${label}${versus ? `, contrasted with ${versus}` : ""}. Full colour is the strongest recent evidence.`,
  ramp: { plain: ["none", "strongest"], signed: ["against", "for"] }, rampTitle: (scale) => `Full colour stands for ${scale.toPrecision(2)}.`,

  // what is explained
  none: { class: "the answer", versus: "none" },
  loading: (next, current) => `Loading ${next}. Until it is ready, ${current} stays in use.`,
  notUsable: (name, why) => `${name} — ${why}`, methodTitle: (title, cost) => `${title}; ${cost}`,
  noClass: (name) => `This model has no class called “${name}”. Type a part that only one class has, or choose one from the list.`,
  noModel: (name) => `There is no model called “${name}” on vidcam's machine. Choose one from the list.`,
  shared: (count) => `${count} viewers are watching. Model, method, class, contrast, smoothing, rules and regions are the same for all of them.`,

  // events
  events: "Events", noEvents: "No events yet.", ongoing: "ongoing",
  eventLine: (event) => [timeOf(event), share(event.score), event.end_s === null ? WORDS.ongoing : seconds(lengthOf(event), 1)].join(" · "),
  eventTitle: (event) => `Rule: ${event.rule}. Model: ${event.model}.`,
  eventFacts: (event) => `Began at ${new Date(event.start).toLocaleString()}, ${event.end_s === null ? "still ongoing" : `lasted ${seconds(lengthOf(event), 1)}`}. `
    + `Probability ${share(event.score)} (${event.model}). Rule: ${event.rule}`,
  eventPicture: (event) => `The picture when ${event.action} began, with its evidence`,

  // rules and regions
  ruleExample: (label) => `${label} > 0.8 for 1s`,
  removeRule: (rule) => `Remove the rule ${rule}`, removeRegion: (name) => `Remove the region ${name}`, fixed: "command line",
  keepRegion: (words) => `To have this region at every start, use the option --region ${words.includes(" ") ? `"${words}"` : words}`,

  // the last minute
  pause: "Pause", goOn: "Go live", record: "Record", stop: "Stop", back: (s) => `−${s} s`, now: "now", pausedEnd: "paused",
  noRecording: "This browser cannot record a canvas.",
  saved: (news) => `${news.top[0][0]} ${share(news.top[0][1])}`,
  savedFacts: (news, model, method) => [
    news.label !== news.top[0][0] && `evidence for ${news.label}`, `${model}, ${method}`, new Date().toLocaleTimeString(),
  ].filter(Boolean).join(" · "),

  // all sources
  tileTitle: "Open this source", noEvidence: "no evidence yet",
};
