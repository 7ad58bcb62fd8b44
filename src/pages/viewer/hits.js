// The clickable places of the picture: what was burned in there can be tapped, from the frame that first shows it.

/**
 * Lays links into `layer`, which covers the picture exactly and scales with it. The server announces `{rev, rtp_from, hits, next?}`
 * before the frame that shows them; they count from the displayed frame whose RTP timestamp is `rtp_from` or later. `next` is
 * a list of the same, for frames further ahead.
 */
export class Hits {
  /** What counts now, and what was announced for later frames. */
  shown = null;
  #pending = [];
  #layer;
  #link;
  #knowsFrames = false;
  #onShown;

  /** `link(tag)` tells the address behind a tag, or null; `onShown(announcement)` hears of every one that begins to count. */
  constructor(layer, link, onShown) {
    this.#layer = layer;
    this.#link = link;
    this.#onShown = onShown;
  }

  /** Takes an announcement in. Without a timestamp, or where the browser tells none of its frames, it counts at once. */
  announce(announcement) {
    if (!Array.isArray(announcement?.hits)) return;
    this.#pending = this.#pending.filter((earlier) => !(earlier.rev >= announcement.rev));
    this.#pending.push(announcement);
    if (this.#pending.length > PENDING_MAX) this.#pending.shift();
    if (!this.#knowsFrames || !Number.isInteger(announcement.rtp_from)) {
      this.#show(announcement);
      this.#pending = [];
    }
    // What is to come at a known time, told ahead.
    for (const next of Array.isArray(announcement.next) ? announcement.next : []) {
      if (Array.isArray(next?.hits) && Number.isInteger(next.rtp_from)) this.#pending.push(next);
    }
  }

  /** A frame with this timestamp is on the screen. */
  frame(rtp) {
    if (!Number.isInteger(rtp)) return;
    this.#knowsFrames = true;
    let due = null;
    while (this.#pending.length > 0 && reached(rtp, this.#pending[0].rtp_from)) due = this.#pending.shift();
    if (due) this.#show(due);
  }

  /** Another session begins: timestamps of a restarted server may not continue. */
  forget() {
    this.#pending = [];
    this.#knowsFrames = false;
  }

  /** Addresses may have changed: lay the links anew. */
  refresh() {
    if (this.shown) this.#draw();
  }

  #show(announcement) {
    this.shown = announcement;
    this.#draw();
    this.#onShown(announcement);
  }

  #draw() {
    const regions = this.shown.hits.filter(({ x, y, w, h }) => [x, y, w, h].every(Number.isFinite) && w > 0 && h > 0);
    this.#layer.replaceChildren(...regions.map((hit) => this.#region(hit)));
  }

  #region({ id, tag, x, y, w, h }) {
    const { href, label } = this.#link(tag);
    const region = document.createElement(href ? "a" : "button");
    region.className = "hit";
    region.dataset.id = id;
    region.dataset.tag = tag;
    region.setAttribute("aria-label", label);
    if (href) {
      region.href = href;
      region.target = "_blank";
      region.rel = "noopener";
    } else {
      region.type = "button";
      region.addEventListener("click", () => document.querySelector("#shelf")?.scrollIntoView({ behavior: "smooth" }));
    }
    const percent = (part) => `${(100 * part).toFixed(3)}%`;
    Object.assign(region.style, { left: percent(x), top: percent(y), width: percent(w), height: percent(h) });
    return region;
  }
}

/** Whether a 32-bit timestamp is at or after another, within half its range. */
function reached(rtp, from) {
  return ((rtp - from) | 0) >= 0;
}

const PENDING_MAX = 32;
