// One WHEP session (draft-ietf-wish-whep): an offer posted, an answer set, media and messages until closed.
//
// The server is ICE-lite and learns our address from the first check, so the offer goes out at once, without gathering
// candidates, and is never trickled.

/** Why a session did not begin. `status` is 0 when the server was not reached; `retryAfter` is in milliseconds. */
export class Refused extends Error {
  constructor(status, detail, retryAfter = null) {
    super(detail || (status ? `the server answered ${status}` : "the server was not reached"));
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Events: `stream` (detail: MediaStream), `message` (detail: parsed JSON), `failed` (the connection is gone). */
export class Whep extends EventTarget {
  #endpoint;
  #connection = null;
  #resource = null;
  #abort = new AbortController();

  constructor(endpoint) {
    super();
    this.#endpoint = endpoint;
  }

  /** Resolves when the answer is set; media follows. Rejects with `Refused`, or an `AbortError` after `close`. */
  async open() {
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#connection = connection;
    const stream = new MediaStream();
    connection.addEventListener("track", ({ track, receiver }) => {
      hurry(receiver);
      stream.addTrack(track);
      this.#emit("stream", stream);
    });
    connection.addEventListener("connectionstatechange", () => {
      if (["failed", "closed"].includes(connection.connectionState)) this.#emit("failed");
    });
    connection.addEventListener("datachannel", ({ channel }) => this.#listen(channel));
    for (const kind of ["video", "audio"]) {
      hurry(connection.addTransceiver(kind, { direction: "recvonly" }).receiver);
    }
    this.#listen(connection.createDataChannel("hawker"));

    const offer = await connection.createOffer();
    offer.sdp = withStereo(offer.sdp);
    await connection.setLocalDescription(offer);
    const answer = await this.#post(offer.sdp);
    // Closed while the answer was on its way: the resource exists, nobody wants it.
    if (this.#abort.signal.aborted) return this.close();
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
  }

  /** The statistics of the peer connection, for a person who looks into a problem. */
  stats() {
    return this.#connection?.getStats();
  }

  /** Ends the session here and, by a request that outlives the page, on the server. */
  close() {
    this.#abort.abort();
    this.#connection?.close();
    if (this.#resource) fetch(this.#resource, { method: "DELETE", keepalive: true }).catch(() => {});
    this.#resource = null;
  }

  async #post(sdp) {
    const request = {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: sdp,
      cache: "no-store",
      // Not aborted by `close`: an answer that comes late names a resource that must be deleted.
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    };
    let response;
    try {
      response = await fetch(this.#endpoint, request);
    } catch {
      throw new Refused(0);
    }
    if (response.status !== 201) throw await refusal(response);
    const location = response.headers.get("Location");
    if (location) this.#resource = new URL(location, response.url || document.baseURI).href;
    return response.text();
  }

  #listen(channel) {
    channel.addEventListener("message", ({ data }) => {
      try {
        this.#emit("message", JSON.parse(typeof data === "string" ? data : new TextDecoder().decode(data)));
      } catch (error) {
        console.warn("hawker: a message that is no JSON", error);
      }
    });
  }

  #emit(type, detail) {
    if (!this.#abort.signal.aborted) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Asks the receiver to keep no more than the network needs: the picture is live, and the price is in it. */
function hurry(receiver) {
  try {
    receiver.jitterBufferTarget = 0;
  } catch { /* an older browser that knows only the hint below */ }
  if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
}

/** Opus is decoded to one channel unless the receiver says stereo (RFC 7587 §6.1), and browsers do not say it. */
function withStereo(sdp) {
  const payload = /^a=rtpmap:(\d+) opus\/48000\/2/im.exec(sdp)?.[1];
  if (!payload) return sdp;
  const line = new RegExp(`^a=fmtp:${payload} (?!.*stereo=1).*$`, "m");
  return sdp.replace(line, (parameters) => `${parameters.trimEnd()};stereo=1`);
}

async function refusal(response) {
  let detail = "";
  try {
    const problem = await response.json();
    detail = problem.detail || problem.title || "";
  } catch { /* not a problem document */ }
  const seconds = Number(response.headers.get("Retry-After"));
  return new Refused(response.status, detail, seconds > 0 ? seconds * 1000 : null);
}

const ANSWER_WITHIN_MS = 8000;
