// What the page knows of its source, and which moment it shows: the one place for what several scripts need.

import { Delay } from "./delay.js";
import { Memory } from "./memory.js";

export const state = {
  hello: null, // how the server greeted: the model, its classes and methods, how to draw
  status: null, // what the server said last of the source and the settings
  memory: new Memory(60),
  delay: new Delay(), // holds pictures back while `isInStep`
  target: null, // the evidence to show: the newest, or that of the picture if they are in step
  shownTime: NaN, // the time of the picture on the screen
  held: null, // while paused, the time that is shown
  isInStep: false, // pictures wait for their evidence
  isMirrored: false,
  camera: null, // the camera of this browser, while it is used
  cameraError: "", // what to say for as long as that camera is lost
};
