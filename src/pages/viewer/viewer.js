// A buyer's page: brings player, sound, shelf and clickable places together.

import { glow } from "./backdrop.js";
import { Hits } from "./hits.js";
import { Player } from "./player.js";
import { Shelf } from "./shelf.js";
import { Sound } from "./sound.js";

const show = document.body.dataset.show;
const element = (id) => document.getElementById(id);
const video = element("video");
const player = new Player(video, element("freeze"), `/s/${show}/whep`);
const shelf = new Shelf(element("shelf"), () => hits.refresh());
const hits = new Hits(element("hits"), (tag) => shelf.link(tag), shown);
new Sound(video, { invite: element("invite"), toggle: element("toggle"), volume: element("volume") });

/** What the page knows, for tests and for a person with the console open; nothing reads it back. */
window.hawker = {
  show,
  state: "connecting",
  firstFrameMs: null,
  frames: 0,
  joins: 0,
  lastRtp: null,
  lastMeta: null,
  live: null,
  announced: null,
  shown: null,
  stats: async () => Object.fromEntries((await player.stats()) ?? []),
};

let onAir = document.body.dataset.onAir === "true";

player.addEventListener("frame", ({ detail }) => {
  const rtp = Number.isInteger(detail.rtpTimestamp) ? detail.rtpTimestamp : null;
  Object.assign(window.hawker, { frames: player.frames, firstFrameMs: player.firstFrameMs, lastRtp: rtp, lastMeta: detail });
  hits.frame(rtp);
  shelf.frame(rtp);
});
player.addEventListener("message", ({ detail }) => {
  window.hawker.announced = detail;
  hits.announce(detail);
});
player.addEventListener("state", ({ detail }) => {
  if (detail !== "playing") [hits, shelf].forEach((part) => part.forget());
  if (detail === "playing") look(0);
  tell();
});
video.addEventListener("resize", shape);
video.addEventListener("click", () => video.muted && element("invite").click());
element("retry").addEventListener("click", () => player.rejoin());
element("fullscreen").addEventListener("click", fullscreen);
element("fullscreen").hidden = !(document.fullscreenEnabled || video.webkitEnterFullscreen);
document.addEventListener("visibilitychange", () => !document.hidden && look(0));

let wasLive = false;

/** Shows one of: connecting, live, waiting, reconnecting, offline, missing. */
function tell() {
  const state = player.state === "playing" ? (onAir ? "live" : "waiting") : player.state;
  wasLive ||= state === "live";
  Object.assign(window.hawker, { state, joins: player.joins });
  document.body.dataset.state = state;
  const { badge, say } = WORDS[state === "waiting" && wasLive ? "back" : state];
  element("badge-text").textContent = badge;
  element("say").textContent = say;
}

/** An announced revision is on the screen: the shelf follows, a moment apart from the other viewers'. */
function shown(announcement) {
  window.hawker.shown = announcement;
  shelf.announce(announcement);
  look(Math.random() * 400);
}

let timer = 0;
let looking = false;
let again = false;

/** Asks for the show's public state after `delay`, then every so often again. */
function look(delay) {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    let next = LOOK_EVERY_MS;
    if (looking) {
      // What is being fetched may be older than what is asked for.
      again = true;
      return;
    }
    if (!document.hidden) {
      looking = true;
      next = await refresh();
      looking = false;
    }
    if (again) [again, next] = [false, 0];
    look(next * (0.9 + Math.random() * 0.2));
  }, delay);
}

/** Takes the public state in; returns when to look again, in milliseconds. */
async function refresh() {
  try {
    const response = await fetch(`/s/${show}/live.json`, { cache: "no-cache", signal: AbortSignal.timeout(5000) });
    if (!response.ok) return LOOK_EVERY_MS;
    const live = await response.json();
    window.hawker.live = live;
    onAir = Boolean(live.on_air);
    if (live.title) {
      element("title").textContent = live.title;
      document.title = `${live.title} · live`;
    }
    shelf.update(live);
    tell();
    // Until somebody is on air, and just after a countdown ends, news is near.
    const left = Date.parse(live.countdown?.ends_at) - Date.parse(live.server_time);
    if (left >= 0 && left < LOOK_EVERY_MS) return left + 1200;
    return onAir ? LOOK_EVERY_MS : LOOK_EVERY_MS / 3;
  } catch {
    return LOOK_EVERY_MS;
  }
}

/** The page follows the picture's shape; a portrait one on a portrait screen fills it, and the rest lies over it. */
function shape() {
  if (!video.videoWidth) return;
  element("picture").style.setProperty("--ratio", String(video.videoWidth / video.videoHeight));
  document.body.toggleAttribute("data-tall", video.videoHeight > video.videoWidth);
}

function fullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (document.fullscreenEnabled) element("stage").requestFullscreen();
  else video.webkitEnterFullscreen();
}

addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "f" && !event.ctrlKey && !event.metaKey && !event.altKey) fullscreen();
});

const WORDS = {
  connecting: { badge: "Connecting", say: "One moment, the show is opening…" },
  live: { badge: "Live", say: "" },
  // The picture itself says whether they are to come or to come back.
  waiting: { badge: "Starting soon", say: "" },
  back: { badge: "Back soon", say: "" },
  reconnecting: { badge: "Reconnecting", say: "The connection dropped. Getting you back…" },
  offline: { badge: "Offline", say: "We cannot reach the show. It keeps trying by itself." },
  missing: { badge: "Not here", say: "This show does not exist, or not any more." },
};
const LOOK_EVERY_MS = 9000;

glow(element("backdrop"), video);
tell();
look(0);
player.start();
