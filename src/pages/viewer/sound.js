// Sound: browsers let a video play unasked only when it is muted, so a tap brings it, and the volume is remembered.

/** `invite` is the large button over the picture, `toggle` and `volume` the small controls beside it. */
export class Sound {
  #video;
  #invite;
  #toggle;
  #volume;

  constructor(video, { invite, toggle, volume }) {
    this.#video = video;
    this.#invite = invite;
    this.#toggle = toggle;
    this.#volume = volume;
    video.muted = true;
    video.volume = remembered();
    invite.addEventListener("click", () => this.on());
    toggle.addEventListener("click", () => (this.#video.muted ? this.on() : this.off()));
    volume.addEventListener("input", () => this.#turn(Number(volume.value) / 100));
    video.addEventListener("volumechange", () => this.#reflect());
    addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "m" || event.ctrlKey || event.metaKey || event.altKey) return;
      video.muted ? this.on() : this.off();
    });
    this.#reflect();
  }

  on() {
    if (this.#video.volume === 0) this.#video.volume = DEFAULT;
    this.#video.muted = false;
    this.#video.play().catch(() => {
      // Not taken for a person's wish: the picture goes on without sound.
      this.#video.muted = true;
      this.#video.play().catch(() => {});
    });
  }

  off() {
    this.#video.muted = true;
  }

  #turn(volume) {
    this.#video.volume = volume;
    this.#video.muted = volume === 0;
    try {
      localStorage.setItem(KEY, String(volume));
    } catch { /* storage may be closed to us; then the volume is only for now */ }
  }

  #reflect() {
    const { muted, volume } = this.#video;
    this.#invite.hidden = !muted;
    this.#toggle.setAttribute("aria-pressed", String(!muted));
    this.#toggle.setAttribute("aria-label", muted ? "Sound on" : "Sound off");
    this.#volume.value = String(muted ? 0 : Math.round(volume * 100));
  }
}

function remembered() {
  try {
    const volume = Number.parseFloat(localStorage.getItem(KEY));
    return volume > 0 && volume <= 1 ? volume : DEFAULT;
  } catch {
    return DEFAULT;
  }
}

const KEY = "hawker.volume";
const DEFAULT = 0.9;
