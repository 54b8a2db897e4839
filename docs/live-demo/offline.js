// Has the service worker keep the page. Browsers have one at https addresses and at `localhost`; elsewhere the page goes on without.

/** Calls `onState` as soon as a worker has got as far as `state`. */
const when = (worker, state, onState) => {
  const look = () => worker.state === state && onState();
  worker.addEventListener("statechange", look);
  look();
};

/** Keeps the page. Calls `kept` when that is done, and `offer` with a function that changes to a newer version when one is here. */
export const keep = async ({ kept, offer }) => {
  if (!navigator.serviceWorker) return;
  const hadOne = Boolean(navigator.serviceWorker.controller);
  const registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" }).catch(() => null); // a private window
  if (registration === null) return;
  const change = worker => () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
    worker.postMessage("take over");
  };
  const follow = worker => {
    if (hadOne) when(worker, "installed", () => offer(change(worker)));
    else when(worker, "activated", kept);
  };
  if (hadOne) kept();
  registration.addEventListener("updatefound", () => follow(registration.installing));
  for (const worker of [registration.installing, registration.waiting, ...hadOne ? [] : [registration.active]]) if (worker) follow(worker);
};
