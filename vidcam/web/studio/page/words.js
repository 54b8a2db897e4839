// Every sentence and label of the app's scripts, by the script that shows it. It is put before each of them, after common.js.
const WORDS = {
  answer: {
    evidenceFor: label => `Evidence for ${label}`, show: label => `Show the evidence for ${label}`, download: "Download",
    notes: count => count === 1 ? "1 note" : `${count} notes`,
  },
  bring: {
    sending: name => `Uploading ${name}`, checking: name => `${name} is uploaded. vidcam checks it after the jobs before it.`,
    notSent: "The video could not be uploaded. Check that vidcam is still running, then try again.",
    noCamera: "This device has no camera.",
    noAccess: "The browser blocked the camera. Allow it next to the address bar, then try again.",
    start: "Start", stop: "Stop", stopAndUse: "Stop and use it", cancel: "Cancel", close: "Close",
    getReady: seconds => `Clip in ${seconds} s`,
    handsFree: (ready, clip) => `Hands-free: record ${clip} s clips one after another, with ${ready} s to get ready, until you press Stop`,
  },
  compared: {
    frame: "Comparison", ready: "Choose methods or two models, then press Compare to see where they agree.",
    empty: "There is no video yet. Drop one here.", choose: "Choose a video",
  },
  job: {
    stages: {
      "": "Starting", load: "Loading the model", weights: "Downloading the weights", look: "Reading the video",
      explain: "Finding the evidence", "fill in": "Explaining clips again for a class that became likely later", convert: "Converting the video for your browser",
      "try methods": "Trying methods", "test methods": "Testing the methods", judge: "Checking the answer with parts of the video hidden",
      decode: "Reading the clips", train: "Training", test: "Testing", inspect: "Testing the model on the test clips",
      draw: "Creating the MP4", write: "Writing the file",
    },
    method: stage => `Explaining with ${stage.replace(/^explain by /, "")}`,
    finding: answer => `So far: ${answer}`, stopping: "Stopping", stopped: "Stopped. Nothing was saved.", stoppedEarly: "Stopped. The results so far are kept.",
    waiting: count => count === 1 ? "Waiting for 1 other job" : `Waiting for ${count} other jobs`,
    megabytes: (done, total) => ` · ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`,
    left: time => ` · about ${time} left`, spent: time => ` · ${time} so far`,
  },
  live: {
    note: "vidcam explains the pictures of your camera on the computer that serves this page. They are sent nowhere else and are not saved.", frame: "Live viewer",
  },
  models: {
    title: "Models", columns: ["Model", "Weights", "Clip", "Input size", "Time cells", "CAM", "Classes", "Top-1", "Licence"],
    here: "here", install: "Download", installName: name => `Download ${name}`, exact: "exact", none: "–",
    offline: "This app was started without downloads, so only the models on this machine can be used.",
    source: folder => `Weights are downloaded from their publishers, checked, and kept in ${folder}.`,
  },
  runs: {
    title: "Runs", note: "Kept on the computer that runs vidcam.", open: (name, sentence, facts) => `Open ${name}: ${sentence} (${facts})`,
    both: "Side by side", bothTitle: "Select two runs to play them side by side", verdictTitle: "Does the answer depend on this evidence?",
    remove: "Delete", removeName: (name, sentence, facts) => `Delete the run of ${name}: ${sentence} (${facts})`, removeAll: "Delete all",
    sure: "Delete all runs and their files?", download: "Download all (.zip)",
  },
  stage: {
    another: "Another video", file: "Video file", drop: "Drop one or more videos here", choose: "Choose a video", record: "Record", back: "Back",
    examples: "or try an example: drawn people, whose actions mini knows", limits: most => `Each video: ${most}. Several videos are explained one after another.`,
    question: "What does the model say, and why?", action: (share, start, end) => `(${share}, ${start.toFixed(1)}–${end.toFixed(1)} s)`,
    cannotPlay: "Your browser cannot play this format, but vidcam can explain it.",
    example: title => `An example: ${title}. The heat shows where the model finds its evidence.`,
    hide: "What if a part is hidden?", hideMarked: "Hide the marked place", hideLoop: "Hide the loop", explainLoop: "Explain this part",
    hideTitle: "Drag a box on the picture, or a stretch on the timeline. You can also hide a marked place (P) or a loop ([ and ]). Escape removes the box.",
    draw: "Drag a box on the picture, or a stretch on the timeline.", asking: "Asking the model…",
  },
  taught: { command: "To use it at the command line, download it, unpack it, and run: " },
  teach: {
    title: "Teach a model your own actions",
    help: "Name two to ten actions and add clips of each. A clip is a few seconds long and shows one person doing the action from beginning to end. Use five or more clips of each action, with different places and distances.",
    add: "Add an action", clipsOf: label => `Clips of ${label}`, action: place => `action ${place}`, hint: place => `Action ${place}, such as waving`,
    name: place => `Name of action ${place}`, files: place => `Video files of action ${place}`,
    record: "Record", recordName: place => `Record a clip of action ${place}`, choose: "Add videos", chooseName: place => `Add videos of action ${place}`,
    remove: "Remove", removeAction: place => `Remove action ${place}`, clip: (number, place) => `clip ${number} of action ${place}`,
    play: clip => `Play ${clip}`, removeClip: clip => `Remove ${clip}`, empty: "No clips yet. Record some, or drop video files here.",
  },
};
