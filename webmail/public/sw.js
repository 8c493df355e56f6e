// Keeps the shell of the page, so that it opens without a network and says so. Mail is never kept here.

const SHELL = "shell-1";
const FILES = ["/icon.svg", "/manifest.webmanifest"];

self.addEventListener("install", (event) => {
  // Assets lie in the browser's own cache, which is asked at the same time: no waiting until this worker runs.
  event.addRoutes?.({ condition: { urlPattern: "/assets/*" }, source: "race-network-and-fetch-handler" });
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll(FILES))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([self.clients.claim(), self.registration.navigationPreload?.enable()]));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (pathname.startsWith("/assets/")) event.respondWith(fromShell(request));
  else if (request.mode === "navigate" && isOurs(request, pathname)) event.respondWith(page(event));
});

function isOurs(request, pathname) {
  const ofServer = ["/jmap", "/api", "/view", "/image", "/preview", "/attachments", "/calendar", "/metrics"];
  return request.destination === "document" && !ofServer.some((path) => pathname.startsWith(path));
}

// Assets never change under their names: one that is there is right.
async function fromShell(request) {
  const cache = await caches.open(SHELL);
  const kept = await cache.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) cache.put(request, answer.clone());
  return answer;
}

async function page(event) {
  const cache = await caches.open(SHELL);
  try {
    const answer = (await event.preloadResponse) ?? (await fetch(event.request));
    if (answer.ok) event.waitUntil(keepPage(cache, answer.clone()));
    return answer;
  } catch (error) {
    const kept = await cache.match("/");
    if (kept) return kept;
    throw error;
  }
}

async function keepPage(cache, answer) {
  const text = await answer.clone().text();
  await cache.put("/", answer);
  await forgetOld(cache, text);
}

// With a new page its old assets go, but for parts that are loaded later: those are asked for again.
async function forgetOld(cache, text) {
  const now = /\/assets\/index-[\w-]+\.js/.exec(text)?.[0];
  const names = (await cache.keys()).map((one) => new URL(one.url).pathname);
  if (!now || names.includes(now) || !names.some((name) => name.startsWith("/assets/index-"))) return;
  for (const name of names) if (name.startsWith("/assets/")) await cache.delete(name);
}
