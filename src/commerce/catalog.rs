//! What a show sells.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::line::Title;
use super::money::Money;
use super::slug::{NotASlug, Slug};

/// Names a product within its show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductId(Slug);

impl ProductId {
    pub fn parse(text: &str) -> Result<ProductId, NotASlug> {
        Slug::parse(text).map(ProductId)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One thing for sale, at its regular price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    pub title: Title,
    pub price: Money,
    /// How many are left; not counted when absent. Zero is sold out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u32>,
    /// How many the shop has sold, as it says itself; not counted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold: Option<u32>,
    /// Where the buyer finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<WebUrl>,
}

impl Product {
    pub fn sold_out(&self) -> bool {
        self.stock == Some(0)
    }
}

/// A show's products by id, each with the picture that was uploaded for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    items: BTreeMap<ProductId, Item>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub product: Product,
    pub image: Option<ImageHash>,
}

impl Catalog {
    /// Products a show may have: a bound on memory, far above what one show sells.
    pub const MAX_PRODUCTS: usize = 2_000;

    pub fn get(&self, id: &ProductId) -> Option<&Item> {
        self.items.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ProductId, &Item)> {
        self.items.iter()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a product or changes it; its picture stays.
    pub fn put(&mut self, id: ProductId, product: Product) {
        match self.items.get_mut(&id) {
            Some(item) => item.product = product,
            None => drop(self.items.insert(id, Item { product, image: None })),
        }
    }

    pub fn remove(&mut self, id: &ProductId) {
        self.items.remove(id);
    }

    pub fn set_image(&mut self, id: &ProductId, image: Option<ImageHash>) {
        if let Some(item) = self.items.get_mut(id) {
            item.image = image;
        }
    }

    pub fn set_stock(&mut self, id: &ProductId, stock: Option<u32>) {
        if let Some(item) = self.items.get_mut(id) {
            item.product.stock = stock;
        }
    }
}

/// SHA-256 of a picture's bytes as they were uploaded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageHash([u8; 32]);

impl ImageHash {
    pub fn of(bytes: &[u8]) -> ImageHash {
        ImageHash(Sha256::digest(bytes).into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for ImageHash {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<ImageHash, hex::FromHexError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map(|()| ImageHash(hash))
    }
}

impl From<ImageHash> for String {
    fn from(hash: ImageHash) -> String {
        hash.to_string()
    }
}

impl fmt::Display for ImageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ImageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address that a buyer's browser may be sent to: http or https, with a host, without credentials.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(Url);

/// An address that is none for a buyer.
#[derive(Debug, thiserror::Error)]
pub enum NotAWebUrl {
    #[error("the address has {seen} characters: at most {} are kept", WebUrl::MAX_LENGTH)]
    Long { seen: usize },
    #[error("not an address ({0}): write it whole, as https://shop.example/lipstick")]
    Malformed(#[from] url::ParseError),
    #[error("the address begins with {seen:?}: only http and https lead a buyer to a shop")]
    Scheme { seen: String },
    #[error("the address holds a user name or password: every buyer would see it, leave it out")]
    Credentials,
}

impl WebUrl {
    pub const MAX_LENGTH: usize = 2_000;

    pub fn parse(text: &str) -> Result<WebUrl, NotAWebUrl> {
        if text.len() > WebUrl::MAX_LENGTH {
            return Err(NotAWebUrl::Long { seen: text.len() });
        }
        let url = Url::parse(text)?;
        // As it is kept and sent: a letter beyond ASCII has become several characters.
        if url.as_str().len() > WebUrl::MAX_LENGTH {
            return Err(NotAWebUrl::Long { seen: url.as_str().len() });
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotAWebUrl::Scheme { seen: url.scheme().chars().take(40).collect() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAWebUrl::Credentials);
        }
        Ok(WebUrl(url))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for WebUrl {
    type Error = NotAWebUrl;

    fn try_from(text: String) -> Result<WebUrl, NotAWebUrl> {
        WebUrl::parse(&text)
    }
}

impl From<WebUrl> for String {
    fn from(url: WebUrl) -> String {
        url.0.into()
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_shops_pass() {
        assert!(WebUrl::parse("https://shop.example/lipstick?a=1").is_ok());
        assert!(matches!(WebUrl::parse("javascript:alert(1)"), Err(NotAWebUrl::Scheme { .. })));
        assert!(matches!(WebUrl::parse("file:///etc/passwd"), Err(NotAWebUrl::Scheme { .. })));
        assert!(matches!(WebUrl::parse("https://me:secret@shop.example/"), Err(NotAWebUrl::Credentials)));
        assert!(matches!(WebUrl::parse("/lipstick"), Err(NotAWebUrl::Malformed(_))));
        assert!(matches!(WebUrl::parse(&format!("https://a/{}", "x".repeat(2000))), Err(NotAWebUrl::Long { .. })));
        let thai = |letters| WebUrl::parse(&format!("https://shop.example/{}", "ก".repeat(letters)));
        assert!(matches!(thai(221), Err(NotAWebUrl::Long { seen: 2010 })));
        // What is taken is taken again from the log.
        let longest = thai(219).unwrap();
        assert_eq!(WebUrl::try_from(String::from(longest.clone())).unwrap(), longest);
    }

    #[test]
    fn a_changed_product_keeps_its_picture() {
        let product: Product =
            serde_json::from_str(r#"{"title": "Lipstick", "price": {"minor": 2490, "currency": "USD"}}"#).unwrap();
        let id = ProductId::parse("lipstick").unwrap();
        let mut catalog = Catalog::default();
        catalog.put(id.clone(), product.clone());
        catalog.set_image(&id, Some(ImageHash::of(b"red")));
        catalog.put(id.clone(), Product { stock: Some(0), ..product });
        let item = catalog.get(&id).unwrap();
        assert!(item.product.sold_out());
        assert_eq!(item.image, Some(ImageHash::of(b"red")));
    }

    #[test]
    fn hashes_round_trip_as_hex() {
        let hash = ImageHash::of(b"");
        assert!(hash.to_string().starts_with("e3b0c442"));
        assert_eq!(ImageHash::try_from(hash.to_string()).unwrap(), hash);
        assert!(ImageHash::try_from("e3b0".to_owned()).is_err());
    }
}
