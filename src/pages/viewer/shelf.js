// The shelf: the product of the moment with its price and its link.

/**
 * Draws what the show sells, from two sources. `/s/{show}/live.json` tells what is on and what it looks like:
 * `{rev, card: {product}|null, countdown: {product}|null, ladder: {product}|null, products: [{id, title, price: {minor, currency}, regular?, discount?,
 * sold_out, url?, image?}]}`. Announcements tell which price holds for which frames:
 * `{rev, offers: [{product, price, regular?, discount?, sold_out, rtp_from?, rtp_until?}]}`; so the price here changes with
 * the one in the picture.
 */
export class Shelf {
  current = null;
  #element;
  #drawn = "";
  #live = { rev: 0, products: [] };
  #announced = { rev: 0, offers: [] };
  #rtp = null;
  /** A public state that is ahead of the picture here, and the timer that lets it wait no longer. */
  #early = null;
  #patience = 0;
  #onProducts;

  /** `onProducts()` hears when products, and with them their links, have changed. */
  constructor(element, onProducts) {
    this.#element = element;
    this.#onProducts = onProducts;
  }

  /** The link of a product, and what to call it. */
  link(id) {
    const product = this.#live.products.find((product) => product.id === id);
    return { href: product ? safe(product.url) : null, label: product?.title ?? "Product in the picture" };
  }

  /** Takes the public state in: at once, or with the frame that shows it when the picture here is not as far. */
  update(live) {
    clearTimeout(this.#patience);
    this.#early = live;
    if (this.#rtp === null || !(live.rev > this.#announced.rev)) return this.#takeIn();
    this.#patience = setTimeout(() => this.#takeIn(), PATIENCE_MS);
  }

  #takeIn() {
    const before = JSON.stringify(this.#live.products);
    this.#live = { ...this.#early, products: Array.isArray(this.#early.products) ? this.#early.products : [] };
    this.#early = null;
    this.#settle();
    if (JSON.stringify(this.#live.products) !== before) this.#onProducts();
  }

  /** Takes in an announcement whose first frame is on the screen. */
  announce({ rev, offers }) {
    this.#announced = { rev, offers: Array.isArray(offers) ? offers : [] };
    if (this.#early && this.#early.rev <= rev) {
      clearTimeout(this.#patience);
      this.#takeIn();
    }
    this.#settle();
  }

  /** Another session begins: which frame will be on the screen is not known. */
  forget() {
    this.#rtp = null;
  }

  /** A frame with this RTP timestamp is on the screen. */
  frame(rtp) {
    const before = this.#offer();
    this.#rtp = rtp;
    if (this.#offer() !== before) this.#settle();
  }

  #settle() {
    const { products, card, countdown, ladder } = this.#live;
    const chosen = card?.product ?? countdown?.product ?? ladder?.product;
    const product = products.find((product) => product.id === chosen);
    this.current = product ? { ...product, ...this.#terms(product.id) } : null;
    const drawn = JSON.stringify(this.current);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#draw(this.current);
  }

  /** The price of a product in the frame on the screen; nothing when only the public state tells it. */
  #terms(product) {
    const offer = this.#announced.rev >= this.#live.rev ? this.#offer() : undefined;
    if (offer?.product !== product) return {};
    const { text, regular_text, discount, sold_out } = offer;
    return { price_text: text, regular_text, sold_out, discount: Number.isInteger(discount) ? `-${discount}%` : undefined };
  }

  #offer() {
    const { card, countdown, ladder } = this.#live;
    const product = card?.product ?? countdown?.product ?? ladder?.product;
    if (this.#rtp === null) return undefined;
    return this.#announced.offers.find((offer) =>
      offer.product === product && reached(this.#rtp, offer.rtp_from) && !(reached(this.#rtp, offer.rtp_until, false)));
  }

  #draw(product) {
    const shelf = this.#element;
    document.body.toggleAttribute("data-selling", Boolean(product));
    shelf.hidden = !product;
    if (!product) return;
    const part = (name) => shelf.querySelector(`[data-part=${name}]`);
    const photo = part("photo");
    const image = safe(product.image);
    photo.hidden = !image;
    if (image && photo.src !== image) photo.src = image;
    part("initial").textContent = Array.from(product.title)[0] ?? "";
    part("title").textContent = product.title;
    const held = Boolean(product.regular_text) && !product.sold_out;
    part("eyebrow").textContent = held ? "Live price" : "In the show now";
    const price = part("price");
    const amount = product.sold_out ? "Sold out" : product.price_text;
    if (price.textContent !== amount) {
      price.textContent = amount;
      price.animate?.([{ transform: "scale(1.12)" }, { transform: "none" }], { duration: 320, easing: "ease-out" });
    }
    for (const [name, text] of [["regular", held && product.regular_text], ["discount", held && product.discount]]) {
      part(name).hidden = !text;
      part(name).textContent = text || "";
    }
    const buy = part("buy");
    const href = safe(product.url);
    buy.hidden = !href || product.sold_out;
    if (href) buy.href = href;
    shelf.toggleAttribute("data-held", held);
    shelf.toggleAttribute("data-sold-out", Boolean(product.sold_out));
  }
}

/** How long a public state waits for the picture to be as far. */
const PATIENCE_MS = 4000;

/** Whether a 32-bit timestamp is at or after a bound, within half its range; `open` when there is no bound. */
function reached(rtp, bound, open = true) {
  return Number.isInteger(bound) ? ((rtp - bound) | 0) >= 0 : open;
}

/** An address, if following it can do no more than open a page. */
function safe(address) {
  try {
    const url = new URL(address, document.baseURI);
    return address && ["https:", "http:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
