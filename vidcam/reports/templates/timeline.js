"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plot = document.querySelector(".plot"), cursor = plot.querySelector(".cursor"), now = document.getElementById("now");
  const outputs = [...document.querySelectorAll(".legend output")], unit = now.textContent;
  const video = document.querySelector("video");
  let time = null; // where the cursor rests while nothing points at the timeline

  const two = n => String(n).padStart(2, "0");
  const clock = s => {
    const tenths = Math.round(s * 10), minutes = Math.floor(tenths / 600), rest = (tenths % 600) / 10;
    if (tenths < 600) return rest.toFixed(1) + " s";
    if (minutes < 60) return minutes + ":" + rest.toFixed(1).padStart(4, "0");
    return Math.floor(minutes / 60) + ":" + two(minutes % 60) + ":" + two(Math.floor(rest));
  };
  const nearest = t => {
    let low = 0, high = data.times.length - 1;
    while (low < high) { const mid = (low + high) >> 1; data.times[mid] < t ? low = mid + 1 : high = mid; }
    return low > 0 && t - data.times[low - 1] < data.times[low] - t ? low - 1 : low;
  };
  const show = t => {
    cursor.classList.toggle("off", t === null);
    if (t === null) { now.textContent = unit; outputs.forEach(o => o.textContent = ""); return; }
    t = Math.min(Math.max(t, data.t0), data.t1);
    cursor.style.left = 100 * (t - data.t0) / (data.t1 - data.t0) + "%";
    now.textContent = "at " + clock(t);
    plot.setAttribute("aria-valuenow", t.toFixed(2));
    plot.setAttribute("aria-valuetext", clock(t));
    outputs.forEach((output, i) => {
      const value = data.curves[i][nearest(t)];
      output.textContent = value === null ? "not seen" : (value < 0 ? "−" : "+") + Number(Math.abs(value).toPrecision(3));
    });
  };
  const go = t => {
    time = Math.min(Math.max(t, data.t0), data.t1);
    show(time);
    if (video && !video.error) video.currentTime = time - data.offset; // the video may have a clock of its own
  };
  const at = event => {
    const box = plot.getBoundingClientRect();
    return data.t0 + (event.clientX - box.left) / box.width * (data.t1 - data.t0);
  };
  plot.addEventListener("pointermove", event => show(at(event)));
  plot.addEventListener("pointerleave", () => show(time));
  plot.addEventListener("click", event => go(at(event)));
  plot.addEventListener("keydown", event => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); go((time ?? data.t0) + step * (data.t1 - data.t0) / 100); }
  });
  document.querySelectorAll(".strip button").forEach(button => button.addEventListener("click", () => go(Number(button.dataset.time))));
  document.querySelectorAll(".legend button").forEach(button => button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", on);
    plot.querySelectorAll(`[data-curve="${button.dataset.curve}"]`).forEach(part => part.classList.toggle("off", !on));
  }));
  if (video) {
    const picture = document.querySelector(".strip img");
    if (picture) video.poster = picture.src; // until it plays; the first frame is often black
    const follow = () => { time = video.currentTime + data.offset; show(time); if (!video.paused) requestAnimationFrame(follow); };
    video.addEventListener("play", follow);
    video.addEventListener("seeked", follow);
    video.addEventListener("error", () => { video.remove(); document.getElementById("lost").classList.remove("off"); });
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => d.open = true));
})();
