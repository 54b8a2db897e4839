// Offers the camera of this browser, and shows what it sees.

import { Camera } from "./camera.js";
import { $ } from "./elements.js";
import { markGone } from "./header.js";
import { setMirrored } from "./look.js";
import { keepPicture, notePicture } from "./moment.js";
import { notice, noticeBriefly } from "./notice.js";
import { resize } from "./screen.js";
import { state } from "./state.js";
import { WORDS } from "./words.js";

const KEPT_WIDTH = 960; // pixels, of the pictures that wait for their evidence
const ERROR_MS = 12000;

/** Shows the button that starts the camera, and starts it at once if the user has allowed that before. `send(time, blob)` sends a picture. */
export function offerCamera(send) {
  $("start").textContent = WORDS.useCamera;
  $("start").hidden = false;
  $("start").onclick = () => startCamera(send);
  navigator.permissions?.query({ name: "camera" }).then((known) => { if (known.state === "granted") $("start").click(); }, () => {});
}

async function startCamera(send) {
  $("start").hidden = true;
  state.camera = new Camera($("camera"), state.hello, {
    sent(time, blob) {
      state.memory.addPicture(time, blob);
      send(time, blob);
    },
    shown: showCamera,
    ended: offerAgain,
  });
  try {
    await state.camera.start();
    markGone(false);
    state.cameraError = "";
    notice("");
    $("picture").hidden = !state.isInStep;
    setMirrored(true);
  } catch (error) {
    state.camera = null;
    $("start").hidden = false;
    noticeBriefly(error.message, ERROR_MS);
  }
}

/** Shows the camera's present picture, now or when its evidence has come. */
async function showCamera(time) {
  if (state.held !== null) return;
  const video = $("camera");
  resize(video.videoWidth, video.videoHeight);
  if (state.isInStep) {
    keepPicture(time, await createImageBitmap(video, { resizeWidth: Math.min(video.videoWidth, KEPT_WIDTH), resizeQuality: "medium" }));
  } else notePicture(time);
}

function offerAgain() {
  state.camera = null;
  markGone(true);
  $("start").textContent = WORDS.useCameraAgain;
  $("start").hidden = false;
  state.cameraError = WORDS.cameraStopped;
  notice(state.cameraError);
}
