// Keeps a picture on the video element: joins, watches that frames come, joins again when they stop.

import { Refused, Whep } from "./whep.js";

/**
 * Events: `state` (detail: one of `connecting`, `playing`, `reconnecting`, `offline`, `missing`), `frame` (detail: rVFC metadata
 * or, where the browser has none, `{}`), `message` (detail: the server's announcement).
 *
 * `connecting` is before the first picture ever, `reconnecting` after a loss; both become `offline` when it takes long.
 * `missing` means that the server knows no such show.
 */
export class Player extends EventTarget {
  state = "connecting";
  /** Milliseconds from the last POST to the first frame that it brought. */
  firstFrameMs = null;
  frames = 0;
  joins = 0;

  #video;
  #freeze;
  #endpoint;
  #session = null;
  #failures = 0;
  #retry = 0;
  #postedAt = 0;
  #lostAt = performance.now();
  #lastFrameAt = 0;
  /** Whether the video element plays the running session, and not what an earlier one left. */
  #fed = false;
  #sessionHasFrames = false;
  #everHadFrames = false;

  /** `freeze` is a canvas over the video that holds the last picture while another session begins. */
  constructor(video, freeze, endpoint) {
    super();
    this.#video = video;
    this.#freeze = freeze;
    this.#endpoint = endpoint;
  }

  start() {
    this.#countFrames();
    setInterval(() => this.#watch(), WATCH_EVERY_MS);
    document.addEventListener("visibilitychange", () => this.#seen());
    addEventListener("online", () => this.rejoin());
    addEventListener("offline", () => this.#lost());
    addEventListener("pagehide", () => this.#end());
    // Back from the browser's page cache: what was closed then begins anew.
    addEventListener("pageshow", ({ persisted }) => persisted && this.rejoin());
    this.#join();
  }

  /** Joins at once, whatever was being waited for. */
  rejoin() {
    this.#failures = 0;
    this.#lost({ now: true });
  }

  stats() {
    return this.#session?.stats();
  }

  async #join() {
    this.#end();
    const session = new Whep(this.#endpoint);
    this.#session = session;
    this.#fed = false;
    this.#sessionHasFrames = false;
    this.#lastFrameAt = 0;
    this.joins += 1;
    session.addEventListener("stream", ({ detail }) => this.#show(detail));
    session.addEventListener("message", ({ detail }) => this.dispatchEvent(new CustomEvent("message", { detail })));
    session.addEventListener("failed", () => session === this.#session && this.#lost());
    this.#postedAt = performance.now();
    try {
      await session.open();
      // From here on the watch expects frames.
      if (session === this.#session) this.#lastFrameAt = performance.now();
    } catch (error) {
      if (session === this.#session) this.#refused(error);
    }
  }

  #refused(error) {
    if (error instanceof Refused && error.status === 404) {
      this.#end();
      this.#become("missing");
      this.#schedule(MISSING_RETRY_MS);
      return;
    }
    if (!(error instanceof Refused)) console.warn("hawker:", error);
    this.#lost({ after: error.retryAfter });
  }

  #show(stream) {
    this.#fed = true;
    if (this.#video.srcObject === stream) return;
    this.#video.srcObject = stream;
    this.#video.play().catch(() => { /* the sound button starts it */ });
  }

  /** The session is of no use any more: hold the picture, wait a little longer each time, join again. */
  #lost({ now = false, after = null } = {}) {
    this.#hold();
    this.#end();
    if (this.#sessionHasFrames || !this.#lostAt) this.#lostAt = performance.now();
    this.#sessionHasFrames = false;
    const late = performance.now() - this.#lostAt > OFFLINE_AFTER_MS;
    if (navigator.onLine === false || late) this.#become("offline");
    else this.#become(this.#everHadFrames ? "reconnecting" : "connecting");
    const backoff = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Half of it is chance, so that the viewers of a restarted server do not come back as one.
    this.#schedule(now ? 0 : Math.max(after ?? 0, backoff * (0.5 + Math.random() / 2)));
  }

  #schedule(delay) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#join(), delay);
  }

  #end() {
    clearTimeout(this.#retry);
    this.#session?.close();
    this.#session = null;
    this.#fed = false;
  }

  #framed(metadata) {
    if (!this.#fed) return;
    this.frames += 1;
    this.#lastFrameAt = performance.now();
    if (!this.#sessionHasFrames) {
      this.#sessionHasFrames = true;
      this.#everHadFrames = true;
      this.#failures = 0;
      this.#lostAt = 0;
      this.firstFrameMs = this.#lastFrameAt - this.#postedAt;
      this.#freeze.hidden = true;
      this.#become("playing");
    }
    this.dispatchEvent(new CustomEvent("frame", { detail: metadata }));
  }

  /** Counts presented frames; an older Firefox, which cannot say when, is asked four times a second how many. */
  #countFrames() {
    const video = this.#video;
    if ("requestVideoFrameCallback" in video) {
      const next = (_, metadata) => {
        video.requestVideoFrameCallback(next);
        this.#framed(metadata);
      };
      video.requestVideoFrameCallback(next);
      return;
    }
    let seen = 0;
    setInterval(() => {
      const total = video.getVideoPlaybackQuality?.().totalVideoFrames ?? video.currentTime;
      if (total > seen && video.videoWidth > 0) this.#framed({});
      seen = total;
    }, 250);
  }

  #watch() {
    // A hidden page presents no frames; that is no loss.
    if (document.hidden || !this.#session || !this.#lastFrameAt) return;
    // A browser may hold muted autoplay back until it is asked again.
    if (this.#video.paused && this.#video.srcObject) this.#video.play().catch(() => {});
    if (performance.now() - this.#lastFrameAt > FRAMES_WITHIN_MS) this.#lost();
  }

  /** Back in sight: frames must come soon. What was lost meanwhile is joined at once. */
  #seen() {
    if (document.hidden) return;
    if (!this.#session) return this.rejoin();
    this.#lastFrameAt = performance.now() - FRAMES_WITHIN_MS + FRAMES_AFTER_HIDING_MS;
    this.#video.play().catch(() => {});
  }

  #hold() {
    const { videoWidth, videoHeight } = this.#video;
    if (!this.#sessionHasFrames || !videoWidth) return;
    this.#freeze.width = videoWidth;
    this.#freeze.height = videoHeight;
    this.#freeze.getContext("2d").drawImage(this.#video, 0, 0);
    this.#freeze.hidden = false;
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}

const FRAMES_WITHIN_MS = 4000;
const FRAMES_AFTER_HIDING_MS = 2000;
const WATCH_EVERY_MS = 500;
const OFFLINE_AFTER_MS = 15000;
const BACKOFF_FIRST_MS = 400;
const BACKOFF_MAX_MS = 8000;
const MISSING_RETRY_MS = 10000;
