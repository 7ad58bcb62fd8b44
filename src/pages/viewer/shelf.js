// The shelf: the product of the moment with its price and its link, as `/s/{show}/live.json` tells it.

/**
 * Draws what the show sells. `live` is the public state:
 * `{title, on_air, card: {product}|null, countdown: {product, ends_at}|null,
 *   products: [{id, title, price: {minor, currency}, regular?: {minor, currency}, discount?, sold_out?, url?, image?}]}`.
 */
export class Shelf {
  #element;
  #drawn = "";
  #products = new Map();
  current = null;

  constructor(element) {
    this.#element = element;
  }

  /** The link of a product, and what to call it. */
  link(id) {
    const product = this.#products.get(id);
    return { href: product ? safe(product.url) : null, label: product?.title ?? "Product in the picture" };
  }

  /** Returns whether anything changed. */
  update(live) {
    const products = Array.isArray(live.products) ? live.products : [];
    this.#products = new Map(products.map((product) => [product.id, product]));
    const chosen = live.card?.product ?? live.countdown?.product;
    this.current = this.#products.get(chosen) ?? null;
    const held = this.current && live.countdown?.product === this.current.id && this.current.regular;
    const drawn = JSON.stringify([this.current, Boolean(held)]);
    if (drawn === this.#drawn) return false;
    this.#drawn = drawn;
    this.#draw(this.current, held);
    return true;
  }

  #draw(product, held) {
    const shelf = this.#element;
    document.body.toggleAttribute("data-selling", Boolean(product));
    if (!product) {
      shelf.hidden = true;
      return;
    }
    const part = (name) => shelf.querySelector(`[data-part=${name}]`);
    const photo = part("photo");
    const image = safe(product.image);
    photo.hidden = !image;
    if (image && photo.getAttribute("src") !== image) photo.src = image;
    part("initial").textContent = Array.from(product.title)[0] ?? "";
    part("title").textContent = product.title;
    part("eyebrow").textContent = held ? "Live price, while the clock runs" : "In the show now";
    const price = part("price");
    const amount = product.sold_out ? "Sold out" : money(product.price);
    if (price.textContent !== amount) {
      price.textContent = amount;
      price.animate?.([{ transform: "scale(1.12)" }, { transform: "none" }], { duration: 320, easing: "ease-out" });
    }
    const regular = part("regular");
    regular.hidden = !product.regular || product.sold_out;
    if (product.regular) regular.textContent = money(product.regular);
    const discount = part("discount");
    discount.hidden = regular.hidden;
    if (product.regular) discount.textContent = product.discount ?? percentOff(product.price, product.regular);
    const buy = part("buy");
    const href = safe(product.url);
    buy.hidden = !href || Boolean(product.sold_out);
    if (href) buy.href = href;
    shelf.toggleAttribute("data-held", Boolean(held));
    shelf.toggleAttribute("data-sold-out", Boolean(product.sold_out));
    shelf.hidden = false;
  }
}

/** An amount in the reader's own way of writing it. */
function money({ minor, currency }) {
  try {
    const format = new Intl.NumberFormat(undefined, { style: "currency", currency, currencyDisplay: "narrowSymbol" });
    return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${minor} ${currency}`;
  }
}

function percentOff(now, regular) {
  return `−${Math.floor(100 * (1 - now.minor / regular.minor))}%`;
}

/** An address only if following it can do no more than open a page. */
function safe(address) {
  try {
    const url = new URL(address, document.baseURI);
    return address && ["https:", "http:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
