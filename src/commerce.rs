//! What is sold and for how much: money, products, and prices that hold until a moment.
//!
//! Pure values and rules: no clock (the time is an argument), no HTTP, no pictures. Every type is checked where it is made, so
//! whoever holds one need not check it again. Times here are wall time; `show` alone turns them into media time.

pub mod catalog;
pub mod countdown;
pub mod ladder;
pub mod line;
pub mod money;
pub mod offer;
pub mod slug;

pub use catalog::{Catalog, Product, ProductId};
pub use countdown::{Countdown, Then};
pub use ladder::Ladder;
pub use line::{Code, Heading, Label, Sentence, Title};
pub use money::{Currency, Format, Money};
pub use offer::{Price, Stage};
pub use slug::Slug;
