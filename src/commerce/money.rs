//! Money: whole minor units of an ISO 4217 currency, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount, zero or more, in the currency's minor unit: 2490 USD is $24.90, 1200 JPY is ¥1,200, 1500 KWD is 1.500 dinars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// What is no amount of money.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("minor is {seen}: an amount is a whole number of minor units from 0 to {}", Money::MAX_MINOR)]
    Amount { seen: i64 },
    #[error("{seen:?} is not a currency: use an ISO 4217 code in capitals, as USD, EUR or VND")]
    Currency { seen: String },
}

impl Money {
    /// Far above any price, far below what JavaScript counts exactly or a card can hold.
    pub const MAX_MINOR: i64 = 999_999_999_999;

    pub fn new(minor: i64, currency: Currency) -> Result<Money, Error> {
        if (0..=Money::MAX_MINOR).contains(&minor) {
            Ok(Money { minor, currency })
        } else {
            Err(Error::Amount { seen: minor })
        }
    }

    pub fn minor(self) -> i64 {
        self.minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    /// As a place writes it. Minor units that nobody pays with are left out where there are none.
    pub fn written(self, format: Format) -> String {
        let entry = self.currency.entry();
        let sign = match format.signs {
            Signs::Home { code, sign } if code == entry.code => sign,
            // Taken by the currency at home.
            Signs::Home { sign, .. } if sign == entry.sign => match entry.code {
                "USD" => "US$",
                "JPY" => "JP¥",
                code => code,
            },
            Signs::Arabic => {
                let arabic = ARABIC_SIGNS.iter().find(|(code, _)| *code == entry.code);
                arabic.map_or(entry.sign, |(_, sign)| sign)
            }
            _ => entry.sign,
        };
        let sign = if sign.is_empty() { entry.code } else { sign };
        let unit = 10i64.pow(u32::from(entry.digits));
        let mut number = format.marks.grouped((self.minor / unit).unsigned_abs());
        let minor = self.minor % unit;
        let paid_whole = minor == 0 && PAID_WHOLE.contains(&entry.code);
        if entry.digits > 0 && !paid_whole {
            let (_, decimal, _) = format.marks.parts();
            number.push_str(&format!("{decimal}{minor:0width$}", width = usize::from(entry.digits)));
        }
        match format.sign {
            // A code is read as a word: `KWD 1.500`.
            SignAt::Before if sign == entry.code => format!("{sign}{NO_BREAK}{number}"),
            SignAt::Before => format!("{sign}{number}"),
            SignAt::BeforeApart => format!("{sign}{NO_BREAK}{number}"),
            SignAt::After => format!("{number}{NO_BREAK}{sign}"),
        }
    }

    /// By how many percent `self` lies under `regular`, rounded down so that a discount is never overstated. None when it
    /// is no discount: another currency, not lower, or less than one percent.
    pub fn percent_below(self, regular: Money) -> Option<u8> {
        if self.currency != regular.currency || self.minor >= regular.minor {
            return None;
        }
        // 0 ≤ minor < regular ≤ 10^12, so neither side overflows and the result is 0 to 100.
        let percent = (regular.minor - self.minor) * 100 / regular.minor;
        (percent > 0).then_some(percent as u8)
    }
}

/// As people in front of an English screen write it: `$24.90`, `₫249,000`, `¥1,200`; `KWD 1.500` where there is no sign that
/// all know.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(Format::ENGLISH))
    }
}

/// How a place writes amounts of money (after Unicode CLDR, always with the digits 0 to 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub marks: Marks,
    pub sign: SignAt,
    pub signs: Signs,
}

/// What stands between thousands, and before the minor unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// `1,234.50`
    CommaPoint,
    /// `1.234,50`
    PointComma,
    /// `1234,50` and `12.345,50`: four digits stand undivided.
    PointCommaFromFive,
    /// `1234,50` and `12 345,50`, likewise.
    SpaceCommaFromFive,
    /// `1 234,50`
    SpaceComma,
    /// `1 234,50` with a narrow space
    NarrowComma,
    /// `1’234.50`
    ApostrophePoint,
}

/// Where the currency's sign stands. A code that serves as the sign is set off even where a sign is not: `KWD 1.500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignAt {
    /// `$24.90`
    Before,
    /// `R$ 24,90`
    BeforeApart,
    /// `24,90 €`
    After,
}

/// What the sign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// One that names the currency to everybody: `$` is USD alone.
    World,
    /// As at home: the short sign for this currency, and the world's for others.
    Home { code: &'static str, sign: &'static str },
    /// Arabic abbreviations for the currencies that have them.
    Arabic,
}

impl Format {
    pub const ENGLISH: Format = Format { marks: Marks::CommaPoint, sign: SignAt::Before, signs: Signs::World };
}

impl Marks {
    /// A whole number.
    pub fn grouped(self, number: u64) -> String {
        let (group, _, least) = self.parts();
        let digits = number.to_string();
        let mut text = String::with_capacity(32);
        for (index, digit) in digits.char_indices() {
            if index > 0 && digits.len() >= least && (digits.len() - index).is_multiple_of(3) {
                text.push(group);
            }
            text.push(digit);
        }
        text
    }

    /// Between thousands, before the minor unit, and how many digits are divided at all.
    fn parts(self) -> (char, char, usize) {
        match self {
            Marks::CommaPoint => (',', '.', 4),
            Marks::PointComma => ('.', ',', 4),
            Marks::PointCommaFromFive => ('.', ',', 5),
            Marks::SpaceCommaFromFive => (NO_BREAK, ',', 5),
            Marks::SpaceComma => (NO_BREAK, ',', 4),
            Marks::NarrowComma => ('\u{202F}', ',', 4),
            Marks::ApostrophePoint => ('’', '.', 4),
        }
    }
}

/// A space that no line is broken at: a price is one word.
const NO_BREAK: char = '\u{A0}';

const ARABIC_SIGNS: [(&str, &str); 16] = [
    ("AED", "د.إ"),
    ("BHD", "د.ب"),
    ("DZD", "د.ج"),
    ("EGP", "ج.م"),
    ("IQD", "د.ع"),
    ("JOD", "د.أ"),
    ("KWD", "د.ك"),
    ("LBP", "ل.ل"),
    ("LYD", "د.ل"),
    ("MAD", "د.م"),
    ("OMR", "ر.ع"),
    ("QAR", "ر.ق"),
    ("SAR", "ر.س"),
    ("SYP", "ل.س"),
    ("TND", "د.ت"),
    ("YER", "ر.ي"),
];

/// Money as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    minor: i64,
    currency: Currency,
}

impl TryFrom<Raw> for Money {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Money, Error> {
        Money::new(raw.minor, raw.currency)
    }
}

impl From<Money> for Raw {
    fn from(money: Money) -> Raw {
        Raw { minor: money.minor, currency: money.currency }
    }
}

/// A currency of ISO 4217: an index into the table below.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(u8);

impl Currency {
    pub fn parse(code: &str) -> Result<Currency, Error> {
        match CURRENCIES.binary_search_by_key(&code, |entry| entry.code) {
            Ok(index) => Ok(Currency(index as u8)),
            Err(_) => Err(Error::Currency { seen: code.chars().take(8).collect() }),
        }
    }

    /// Every currency, by code.
    pub fn all() -> impl Iterator<Item = Currency> {
        (0..CURRENCIES.len()).map(|index| Currency(index as u8))
    }

    pub fn code(self) -> &'static str {
        self.entry().code
    }

    fn entry(self) -> &'static Entry {
        &CURRENCIES[usize::from(self.0)]
    }
}

impl TryFrom<String> for Currency {
    type Error = Error;

    fn try_from(code: String) -> Result<Currency, Error> {
        Currency::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

struct Entry {
    code: &'static str,
    digits: u8,
    /// Written before the amount; empty when the code is clearer.
    sign: &'static str,
}

const fn c(code: &'static str, digits: u8, sign: &'static str) -> Entry {
    Entry { code, digits, sign }
}

/// Currencies with a minor unit in ISO 4217 and none in anybody's hands.
const PAID_WHOLE: [&str; 10] = ["COP", "HUF", "IDR", "IQD", "LAK", "LBP", "MMK", "PKR", "TWD", "UZS"];

/// The circulating currencies of ISO 4217 with their minor digits (list one; no funds, metals and test codes), by code.
#[rustfmt::skip]
const CURRENCIES: &[Entry] = &[
    c("AED", 2, ""), c("AFN", 2, ""), c("ALL", 2, ""), c("AMD", 2, ""), c("ANG", 2, ""), c("AOA", 2, ""), c("ARS", 2, ""),
    c("AUD", 2, "A$"), c("AWG", 2, ""), c("AZN", 2, "₼"), c("BAM", 2, ""), c("BBD", 2, ""), c("BDT", 2, ""), c("BGN", 2, ""),
    c("BHD", 3, ""), c("BIF", 0, ""), c("BMD", 2, ""), c("BND", 2, ""), c("BOB", 2, ""), c("BRL", 2, "R$"), c("BSD", 2, ""),
    c("BTN", 2, ""), c("BWP", 2, ""), c("BYN", 2, ""), c("BZD", 2, ""), c("CAD", 2, "CA$"), c("CDF", 2, ""), c("CHF", 2, ""),
    c("CLP", 0, ""), c("CNY", 2, "CN¥"), c("COP", 2, ""), c("CRC", 2, "₡"), c("CUP", 2, ""), c("CVE", 2, ""), c("CZK", 2, ""),
    c("DJF", 0, ""), c("DKK", 2, ""), c("DOP", 2, ""), c("DZD", 2, ""), c("EGP", 2, ""), c("ERN", 2, ""), c("ETB", 2, ""),
    c("EUR", 2, "€"), c("FJD", 2, ""), c("FKP", 2, ""), c("GBP", 2, "£"), c("GEL", 2, "₾"), c("GHS", 2, "₵"), c("GIP", 2, ""),
    c("GMD", 2, ""), c("GNF", 0, ""), c("GTQ", 2, ""), c("GYD", 2, ""), c("HKD", 2, "HK$"), c("HNL", 2, ""), c("HTG", 2, ""),
    c("HUF", 2, ""), c("IDR", 2, "Rp"), c("ILS", 2, "₪"), c("INR", 2, "₹"), c("IQD", 3, ""), c("IRR", 2, ""), c("ISK", 0, ""),
    c("JMD", 2, ""), c("JOD", 3, ""), c("JPY", 0, "¥"), c("KES", 2, ""), c("KGS", 2, ""), c("KHR", 2, ""), c("KMF", 0, ""),
    c("KPW", 2, ""), c("KRW", 0, "₩"), c("KWD", 3, ""), c("KYD", 2, ""), c("KZT", 2, "₸"), c("LAK", 2, "₭"), c("LBP", 2, ""),
    c("LKR", 2, ""), c("LRD", 2, ""), c("LSL", 2, ""), c("LYD", 3, ""), c("MAD", 2, ""), c("MDL", 2, ""), c("MGA", 2, ""),
    c("MKD", 2, ""), c("MMK", 2, ""), c("MNT", 2, "₮"), c("MOP", 2, ""), c("MRU", 2, ""), c("MUR", 2, ""), c("MVR", 2, ""),
    c("MWK", 2, ""), c("MXN", 2, "MX$"), c("MYR", 2, "RM"), c("MZN", 2, ""), c("NAD", 2, ""), c("NGN", 2, "₦"), c("NIO", 2, ""),
    c("NOK", 2, ""), c("NPR", 2, ""), c("NZD", 2, "NZ$"), c("OMR", 3, ""), c("PAB", 2, ""), c("PEN", 2, ""), c("PGK", 2, ""),
    c("PHP", 2, "₱"), c("PKR", 2, ""), c("PLN", 2, ""), c("PYG", 0, "₲"), c("QAR", 2, ""), c("RON", 2, ""), c("RSD", 2, ""),
    c("RUB", 2, "₽"), c("RWF", 0, ""), c("SAR", 2, ""), c("SBD", 2, ""), c("SCR", 2, ""), c("SDG", 2, ""), c("SEK", 2, ""),
    c("SGD", 2, "S$"), c("SHP", 2, ""), c("SLE", 2, ""), c("SOS", 2, ""), c("SRD", 2, ""), c("SSP", 2, ""), c("STN", 2, ""),
    c("SVC", 2, ""), c("SYP", 2, ""), c("SZL", 2, ""), c("THB", 2, "฿"), c("TJS", 2, ""), c("TMT", 2, ""), c("TND", 3, ""),
    c("TOP", 2, ""), c("TRY", 2, "₺"), c("TTD", 2, ""), c("TWD", 2, "NT$"), c("TZS", 2, ""), c("UAH", 2, "₴"), c("UGX", 0, ""),
    c("USD", 2, "$"), c("UYU", 2, ""), c("UZS", 2, ""), c("VED", 2, ""), c("VES", 2, ""), c("VND", 0, "₫"), c("VUV", 0, ""),
    c("WST", 2, ""), c("XAF", 0, ""), c("XCD", 2, ""), c("XCG", 2, ""), c("XOF", 0, ""), c("XPF", 0, ""), c("YER", 2, ""),
    c("ZAR", 2, ""), c("ZMW", 2, ""), c("ZWG", 2, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).unwrap()).unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_fits_its_index() {
        assert!(CURRENCIES.is_sorted_by_key(|entry| entry.code));
        assert!(CURRENCIES.len() <= 256);
        assert!(CURRENCIES.iter().all(|entry| entry.code.len() == 3));
    }

    #[test]
    fn amounts_are_written_in_their_own_minor_units() {
        for (amount, text) in [
            (money(2490, "USD"), "$24.90"),
            (money(5, "USD"), "$0.05"),
            (money(0, "EUR"), "€0.00"),
            (money(249_000, "VND"), "₫249,000"),
            (money(1200, "JPY"), "¥1,200"),
            (money(999, "JPY"), "¥999"),
            (money(123_456_789, "GBP"), "£1,234,567.89"),
            (money(1500, "KWD"), "KWD\u{a0}1.500"),
            (money(Money::MAX_MINOR, "KRW"), "₩999,999,999,999"),
        ] {
            assert_eq!(amount.to_string(), text);
        }
    }

    #[test]
    fn amounts_are_written_as_a_place_writes_them() {
        use Marks::*;
        use SignAt::*;
        let of = |marks, sign, signs, minor, code| money(minor, code).written(Format { marks, sign, signs });
        let brazil = Signs::Home { code: "BRL", sign: "R$" };
        for (written, expected) in [
            (of(PointComma, After, Signs::World, 2490, "EUR"), "24,90 €"),
            (of(PointComma, After, Signs::World, 249_000, "VND"), "249.000 ₫"),
            (of(PointCommaFromFive, After, Signs::World, 123_456, "EUR"), "1234,56 €"),
            (of(SpaceCommaFromFive, After, Signs::World, 1_234_567, "EUR"), "12 345,67 €"),
            (of(NarrowComma, After, Signs::World, 123_456, "EUR"), "1\u{202F}234,56 €"),
            (of(ApostrophePoint, BeforeApart, Signs::World, 123_456, "CHF"), "CHF 1’234.56"),
            (of(PointComma, BeforeApart, brazil, 2490, "BRL"), "R$ 24,90"),
            (of(PointComma, BeforeApart, Signs::World, 2_490_000, "IDR"), "Rp 24.900"),
            (of(PointComma, BeforeApart, Signs::World, 2_490_050, "IDR"), "Rp 24.900,50"),
            (of(CommaPoint, After, Signs::Arabic, 1500, "KWD"), "1.500 د.ك"),
            (of(CommaPoint, After, Signs::Arabic, 2490, "USD"), "24.90 $"),
            (of(CommaPoint, Before, Signs::Home { code: "CNY", sign: "¥" }, 120_000, "CNY"), "¥1,200.00"),
            (of(CommaPoint, Before, Signs::Home { code: "CNY", sign: "¥" }, 1200, "HKD"), "HK$12.00"),
            (of(CommaPoint, Before, Signs::Home { code: "CNY", sign: "¥" }, 1200, "JPY"), "JP¥1,200"),
            (of(CommaPoint, Before, Signs::World, 5, "KWD"), "KWD 0.005"),
        ] {
            assert_eq!(written, expected.replace(' ', "\u{A0}"));
        }
    }

    #[test]
    fn a_discount_is_never_overstated() {
        assert_eq!(money(990, "USD").percent_below(money(2490, "USD")), Some(60)); // 60.24
        assert_eq!(money(1, "USD").percent_below(money(1000, "USD")), Some(99)); // 99.9
        assert_eq!(money(0, "USD").percent_below(money(1000, "USD")), Some(100));
        assert_eq!(money(999, "USD").percent_below(money(1000, "USD")), None); // 0.1
        assert_eq!(money(1000, "USD").percent_below(money(1000, "USD")), None);
        assert_eq!(money(1, "EUR").percent_below(money(1000, "USD")), None);
        assert_eq!(money(0, "USD").percent_below(money(0, "USD")), None);
    }

    #[test]
    fn json_that_is_no_money_is_refused_with_what_was_seen() {
        let refuse = |json: &str| serde_json::from_str::<Money>(json).unwrap_err().to_string();
        assert!(refuse(r#"{"minor": -5, "currency": "USD"}"#).contains("-5"));
        assert!(refuse(r#"{"minor": 5, "currency": "usd"}"#).contains("usd"));
        assert!(refuse(r#"{"minor": 5, "currency": "XXX"}"#).contains("XXX"));
        assert!(refuse(r#"{"minor": 5.5, "currency": "USD"}"#).contains("5.5"));
        assert!(refuse(r#"{"minor": 5, "currency": "USD", "major": 1}"#).contains("major"));
        assert!(refuse(r#"{"minor": 9223372036854775807, "currency": "USD"}"#).contains("9223372036854775807"));
    }

    #[test]
    fn money_round_trips_through_json() {
        let price = money(2490, "USD");
        let json = serde_json::to_string(&price).unwrap();
        assert_eq!(json, r#"{"minor":2490,"currency":"USD"}"#);
        assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), price);
    }
}
