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

  constructor(element) {
    this.#element = element;
  }

  /** The link of a product, and what to call it. */
  link(id) {
    const product = this.#live.products.find((product) => product.id === id);
    return { href: product ? safe(product.url) : null, label: product?.title ?? "Product in the picture" };
  }

  /** Takes the public state in. Returns whether the shelf changed. */
  update(live) {
    this.#live = { ...live, products: Array.isArray(live.products) ? live.products : [] };
    return this.#settle();
  }

  /** Takes in an announcement whose first frame is on the screen. */
  announce({ rev, offers }) {
    this.#announced = { rev, offers: Array.isArray(offers) ? offers : [] };
    this.#settle();
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
    if (drawn === this.#drawn) return false;
    this.#drawn = drawn;
    this.#draw(this.current);
    return true;
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
