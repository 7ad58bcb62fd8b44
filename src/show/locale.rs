//! A show's locale, in the terms of commerce: how it writes amounts of money.

use crate::commerce::money::{Format, Marks, Money, SignAt, Signs};
use crate::overlay::{Language, Locale};

/// A price as a show's viewers write it. It is one word: no line is broken in it.
pub fn price(locale: Locale, price: Money) -> String {
    price.written(format(locale))
}

/// A count as a show's viewers write it.
pub fn number(locale: Locale, number: u64) -> String {
    format(locale).marks.grouped(number)
}

/// After Unicode CLDR. A language without a region is that of the country that its shops are in most: Brazil's Portuguese,
/// Spain's Spanish.
fn format(locale: Locale) -> Format {
    use Marks::*;
    use SignAt::*;

    let home = |code, sign| Signs::Home { code, sign };
    let (marks, sign, signs) = match (locale.language(), locale.region()) {
        (Language::English, region) => (CommaPoint, Before, dollars_of(region)),
        (Language::Vietnamese, _) => (PointComma, After, Signs::World),
        (Language::SimplifiedChinese, Some("SG")) => (CommaPoint, Before, home("SGD", "$")),
        (Language::SimplifiedChinese, _) => (CommaPoint, Before, home("CNY", "¥")),
        (Language::TraditionalChinese, Some("HK")) => (CommaPoint, Before, home("HKD", "HK$")),
        (Language::TraditionalChinese, _) => (CommaPoint, Before, home("TWD", "NT$")),
        (Language::Japanese | Language::Korean | Language::Thai, _) => (CommaPoint, Before, Signs::World),
        (Language::Arabic, Some("DZ" | "LY" | "MA" | "TN")) => (PointComma, After, Signs::Arabic),
        (Language::Arabic, _) => (CommaPoint, After, Signs::Arabic),
        (Language::Hebrew, _) => (CommaPoint, After, Signs::World),
        (Language::Spanish, Some("AR")) => (PointComma, BeforeApart, home("ARS", "$")),
        (Language::Spanish, Some("CL")) => (PointComma, Before, home("CLP", "$")),
        (Language::Spanish, Some("CO")) => (PointComma, BeforeApart, home("COP", "$")),
        (Language::Spanish, Some("UY")) => (PointComma, BeforeApart, home("UYU", "$")),
        (Language::Spanish, Some("MX")) => (CommaPoint, Before, home("MXN", "$")),
        (Language::Spanish, Some("PE")) => (CommaPoint, BeforeApart, home("PEN", "S/")),
        (Language::Spanish, Some("419" | "CU" | "DO" | "GT" | "HN" | "NI" | "PA" | "PR" | "SV" | "US")) => {
            (CommaPoint, Before, Signs::World)
        }
        (Language::Spanish, _) => (PointCommaFromFive, After, Signs::World),
        (Language::Portuguese, None | Some("BR")) => (PointComma, BeforeApart, home("BRL", "R$")),
        (Language::Portuguese, _) => (SpaceCommaFromFive, After, Signs::World),
        (Language::French, Some("CA")) => (SpaceComma, After, home("CAD", "$")),
        (Language::French, _) => (NarrowComma, After, Signs::World),
        (Language::German, Some("AT")) => (PointComma, BeforeApart, Signs::World),
        (Language::German, Some("CH" | "LI")) => (ApostrophePoint, BeforeApart, Signs::World),
        (Language::German, _) => (PointComma, After, Signs::World),
        (Language::Indonesian, _) => (PointComma, BeforeApart, Signs::World),
    };
    Format { marks, sign, signs }
}

/// `$` alone, in the English-speaking countries that have dollars of their own.
fn dollars_of(region: Option<&str>) -> Signs {
    let code = match region {
        Some("AU") => "AUD",
        Some("CA") => "CAD",
        Some("NZ") => "NZD",
        Some("SG") => "SGD",
        _ => return Signs::World,
    };
    Signs::Home { code, sign: "$" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::money::Currency;
    use crate::overlay::{Painter, PainterConfig};

    fn written(tag: &str, minor: i64, code: &str) -> String {
        let amount = Money::new(minor, Currency::parse(code).unwrap()).unwrap();
        price(Locale::parse(tag).unwrap(), amount)
    }

    #[test]
    fn prices_read_as_at_home() {
        for (tag, minor, code, expected) in [
            ("en", 2490, "USD", "$24.90"),
            ("en-AU", 2490, "AUD", "$24.90"),
            ("en-AU", 2490, "USD", "US$24.90"),
            ("de", 2490, "EUR", "24,90 €"),
            ("de-CH", 123_450, "CHF", "CHF 1’234.50"),
            ("fr", 123_450, "EUR", "1\u{202F}234,50 €"),
            ("es", 2490, "EUR", "24,90 €"),
            ("es-MX", 123_450, "MXN", "$1,234.50"),
            ("es-CO", 2_490_000, "COP", "$ 24.900"),
            ("vi", 249_000, "VND", "249.000 ₫"),
            ("ja", 1200, "JPY", "¥1,200"),
            ("zh-CN", 120_000, "CNY", "¥1,200.00"),
            ("zh-TW", 120_000, "TWD", "NT$1,200"),
            ("ko", 24_900, "KRW", "₩24,900"),
            ("th", 24_900, "THB", "฿249.00"),
            ("ar", 1500, "KWD", "1.500 د.ك"),
            ("ar-SA", 18_900, "SAR", "189.00 ر.س"),
            ("he", 2490, "ILS", "24.90 ₪"),
            ("id", 2_490_000, "IDR", "Rp 24.900"),
            ("pt", 2490, "BRL", "R$ 24,90"),
            ("pt-PT", 2490, "EUR", "24,90 €"),
        ] {
            assert_eq!(written(tag, minor, code), expected.replace(' ', "\u{A0}"), "{tag}");
        }
    }

    #[test]
    fn every_price_can_be_painted_without_a_package() {
        let painter = Painter::new(PainterConfig::default()).unwrap();
        let prices: String = Language::ALL
            .into_iter()
            .flat_map(|language| {
                Currency::all().map(move |currency| written(language.tag(), 123_456_789, currency.code()))
            })
            .collect();
        assert_eq!(painter.missing_in(&prices), []);
        assert!(!prices.chars().any(|character| matches!(character, '\u{2E80}'..='\u{FFFF}')));
    }
}
