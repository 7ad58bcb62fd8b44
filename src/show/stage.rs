//! The stage by its layers: what may be put on each, as it is asked for and as it stands.
//!
//! What is asked for may be relative ("for a minute"): it becomes absolute at the moment when it takes place, which for a cue
//! lies ahead. So a [`Change`] is what the log keeps, and a [`Placed`] what a show's state holds.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::commerce::catalog::ProductId;
use crate::commerce::countdown::{Countdown, Then};
use crate::commerce::ladder::{self, Ladder};
use crate::commerce::line::{Code, Heading, Label, Sentence};
use crate::commerce::money::Money;

/// A place on the stage: each holds one thing or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Card,
    Countdown,
    Ladder,
    Stock,
    Sold,
    Ticker,
    Coupon,
    Banner,
    SoldOut,
    Queue,
    Watermark,
}

/// One change of the stage, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Puts something on a layer, in the place of what is there.
    Put {
        value: Put,
        /// After so long it is taken off again by itself; it stays when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lasts: Option<Duration>,
    },
    /// Takes off what is there, if anything is.
    Delete(Layer),
}

/// What is to be on a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Put {
    Card { product: ProductId },
    Countdown { product: ProductId, price: Money, end: When, then: Then, label: Option<Label> },
    Ladder { product: ProductId, steps: Vec<Drop>, label: Option<Label> },
    Panel(Panel),
}

/// What is on a layer that no price depends on. Prices, stock and counts in it come from the catalog, never from whoever puts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Panel {
    /// How much of a product is left, and of how much.
    Stock {
        product: ProductId,
    },
    /// How many of a product were sold.
    Sold {
        product: ProductId,
    },
    /// Lines that run along.
    Ticker {
        items: Vec<Sentence>,
    },
    Coupon {
        code: Code,
        text: Heading,
        note: Option<Heading>,
    },
    Banner {
        title: Heading,
        text: Option<Sentence>,
    },
    /// That a product is sold out; seen for as long as it is.
    SoldOut {
        product: ProductId,
    },
    /// What comes next.
    Queue {
        products: Vec<ProductId>,
    },
    /// A mark over everything; its own words when absent.
    Watermark {
        text: Option<Label>,
    },
}

/// One drop of a ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    pub price: Money,
    pub at: When,
}

/// A moment: by the clock, or counted from when the change takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    In(Duration),
    At(Timestamp),
}

/// What stands on a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub content: Content,
    /// The first moment at which it is gone by itself.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Card(ProductId),
    Countdown(Countdown),
    Ladder(Ladder),
    Panel(Panel),
}

impl Layer {
    pub const ALL: [Layer; 11] = [
        Layer::Card,
        Layer::Countdown,
        Layer::Ladder,
        Layer::Stock,
        Layer::Sold,
        Layer::Ticker,
        Layer::Coupon,
        Layer::Banner,
        Layer::SoldOut,
        Layer::Queue,
        Layer::Watermark,
    ];

    /// Its name in addresses and logs, and that of its template.
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Card => "card",
            Layer::Countdown => "countdown",
            Layer::Ladder => "ladder",
            Layer::Stock => "stock",
            Layer::Sold => "sold",
            Layer::Ticker => "ticker",
            Layer::Coupon => "coupon",
            Layer::Banner => "banner",
            Layer::SoldOut => "sold_out",
            Layer::Queue => "queue",
            Layer::Watermark => "watermark",
        }
    }

    pub fn parse(name: &str) -> Option<Layer> {
        Layer::ALL.into_iter().find(|layer| layer.as_str() == name)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Change {
    /// Changes that take place in one revision, at most.
    pub const MOST: usize = 16;
    pub const SHORTEST: Duration = Duration::from_secs(1);
    pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

    /// To show a product's card.
    pub fn card(product: ProductId) -> Change {
        Change::Put { value: Put::Card { product }, lasts: None }
    }

    pub fn layer(&self) -> Layer {
        match self {
            Change::Put { value, .. } => value.layer(),
            Change::Delete(layer) => *layer,
        }
    }

    /// The products that it needs.
    pub fn products(&self) -> Vec<&ProductId> {
        match self {
            Change::Put { value: Put::Card { product }, .. }
            | Change::Put { value: Put::Countdown { product, .. }, .. }
            | Change::Put { value: Put::Ladder { product, .. }, .. } => vec![product],
            Change::Put { value: Put::Panel(panel), .. } => panel.products(),
            Change::Delete(_) => Vec::new(),
        }
    }

    /// The words in it that whoever asks for it chose.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Change::Put { value: Put::Countdown { label, .. } | Put::Ladder { label, .. }, .. } => texts(label),
            Change::Put { value: Put::Panel(panel), .. } => panel.texts(),
            Change::Put { value: Put::Card { .. }, .. } | Change::Delete(_) => Vec::new(),
        }
    }

    /// What it leaves on its layer when it takes place `at` a moment.
    pub fn placed(&self, at: Timestamp) -> Option<Placed> {
        match self {
            Change::Put { value, lasts } => Some(value.placed(lasts.map(|lasts| later(at, lasts)), at)),
            Change::Delete(_) => None,
        }
    }
}

impl Put {
    pub fn layer(&self) -> Layer {
        match self {
            Put::Card { .. } => Layer::Card,
            Put::Countdown { .. } => Layer::Countdown,
            Put::Ladder { .. } => Layer::Ladder,
            Put::Panel(panel) => panel.layer(),
        }
    }

    fn placed(&self, until: Option<Timestamp>, at: Timestamp) -> Placed {
        let content = match self.clone() {
            Put::Card { product } => Content::Card(product),
            Put::Countdown { product, price, end, then, label } => {
                Content::Countdown(Countdown { product, price, begins: Some(at), ends: end.from(at), then, label })
            }
            Put::Ladder { product, steps, label } => {
                let step = |drop: Drop| ladder::Step { price: drop.price, at: drop.at.from(at) };
                Content::Ladder(Ladder { product, steps: steps.into_iter().map(step).collect(), label, until })
            }
            Put::Panel(panel) => Content::Panel(panel),
        };
        Placed { content, until }
    }
}

impl Content {
    /// The words in it that are not its products'.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Content::Card(_) => Vec::new(),
            Content::Countdown(Countdown { label, .. }) | Content::Ladder(Ladder { label, .. }) => texts(label),
            Content::Panel(panel) => panel.texts(),
        }
    }
}

impl Panel {
    pub const MOST_ITEMS: usize = 10;
    pub const MOST_QUEUED: usize = 3;

    pub fn layer(&self) -> Layer {
        match self {
            Panel::Stock { .. } => Layer::Stock,
            Panel::Sold { .. } => Layer::Sold,
            Panel::Ticker { .. } => Layer::Ticker,
            Panel::Coupon { .. } => Layer::Coupon,
            Panel::Banner { .. } => Layer::Banner,
            Panel::SoldOut { .. } => Layer::SoldOut,
            Panel::Queue { .. } => Layer::Queue,
            Panel::Watermark { .. } => Layer::Watermark,
        }
    }

    pub fn products(&self) -> Vec<&ProductId> {
        match self {
            Panel::Stock { product } | Panel::Sold { product } | Panel::SoldOut { product } => vec![product],
            Panel::Queue { products } => products.iter().collect(),
            Panel::Ticker { .. } | Panel::Coupon { .. } | Panel::Banner { .. } | Panel::Watermark { .. } => Vec::new(),
        }
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Panel::Ticker { items } => items.iter().map(Sentence::as_str).collect(),
            Panel::Coupon { code, text, note } => {
                [code.as_str(), text.as_str()].into_iter().chain(note.as_ref().map(Heading::as_str)).collect()
            }
            Panel::Banner { title, text } => {
                std::iter::once(title.as_str()).chain(text.as_ref().map(Sentence::as_str)).collect()
            }
            Panel::Watermark { text } => texts(text),
            Panel::Stock { .. } | Panel::Sold { .. } | Panel::SoldOut { .. } | Panel::Queue { .. } => Vec::new(),
        }
    }
}

fn texts(label: &Option<Label>) -> Vec<&str> {
    label.iter().map(Label::as_str).collect()
}

impl When {
    /// The moment, for a change that takes place `at` one. One beyond all time is the end of time, which every check refuses.
    fn from(self, at: Timestamp) -> Timestamp {
        match self {
            When::In(duration) => later(at, duration),
            When::At(at) => at,
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
