// The service worker: keeps the files of this page, so that it opens without a network. It answers for these files and for nothing else.
// docs/build_demo.py writes FILES before this: the checksum of each file, as `fetch` takes it ("sha256-…").

const CACHE = `vidcam live demo ${registration.scope}`;

const addressOf = name => new URL(name, registration.scope).href;
/** Returns the address under which a file is kept. It contains the checksum: a new version does not overwrite what a page still uses. */
const keyOf = name => `${addressOf(name)}?${encodeURIComponent(FILES[name])}`;

/** Returns which of the page's own files is asked for; undefined for everything else. */
const nameOf = ({ url, method }) => {
  const { origin, pathname } = new URL(url), scope = new URL(registration.scope);
  if (method !== "GET" || origin !== scope.origin || !pathname.startsWith(scope.pathname)) return undefined;
  const name = pathname.slice(scope.pathname.length) || "index.html";
  return Object.hasOwn(FILES, name) ? name : undefined;
};

/** Fetches what is not here yet. If a file is not the one that was built, nothing of this version is used. */
const fill = async () => {
  const cache = await caches.open(CACHE);
  await Promise.all(Object.keys(FILES).map(async name => {
    if (await cache.match(keyOf(name))) return;
    const response = await fetch(addressOf(name), { cache: "no-cache", integrity: FILES[name] });
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    await cache.put(keyOf(name), response);
  }));
};

/** Deletes the files of earlier versions. */
const tidy = async () => {
  const cache = await caches.open(CACHE), kept = new Set(Object.keys(FILES).map(keyOf));
  await Promise.all((await cache.keys()).filter(({ url }) => !kept.has(url)).map(request => cache.delete(request)));
};

const answer = async (name, request) => await (await caches.open(CACHE)).match(keyOf(name)) ?? fetch(request);

addEventListener("install", event => event.waitUntil(fill()));
addEventListener("activate", event => event.waitUntil(tidy()));
addEventListener("message", ({ data }) => data === "take over" && skipWaiting());
addEventListener("fetch", event => {
  const name = nameOf(event.request);
  if (name !== undefined) event.respondWith(answer(name, event.request));
});
