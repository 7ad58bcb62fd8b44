//! Texts of both directions side by side: a value stands in a template as one thing, whatever its letters would do to their
//! surroundings (Unicode's Bidirectional Algorithm, UAX #9).
//!
//! An Arabic title before "24.90 $" would draw the `$` to the number's other side, and a value with a forgotten control could
//! turn the rest of a line around. So each value is isolated as it is put in, by FIRST STRONG ISOLATE and POP DIRECTIONAL
//! ISOLATE: characters, because a value has no element of its own. They draw nothing.

use std::borrow::Cow;

/// A value as it is put into a page. Plain ASCII in a page from left to right needs nothing.
pub(in crate::overlay) fn isolated(value: &str, page_runs_ltr: bool) -> Cow<'_, str> {
    if value.is_empty() || (page_runs_ltr && value.is_ascii()) {
        return Cow::Borrowed(value);
    }
    let mut isolated = String::with_capacity(value.len() + 6);
    isolated.push(FIRST_STRONG_ISOLATE);
    // A control of its own would have to be closed as it was opened, and there is no way to see that it is.
    isolated.extend(value.chars().filter(|character| !is_control(*character)));
    isolated.push(POP_DIRECTIONAL_ISOLATE);
    Cow::Owned(isolated)
}

/// A page without the isolates that stand inside of its tags, where a value is a name: `id="cell-0"`, `src="photo"`. Values are
/// escaped, so that a tag ends where the template ends it.
pub(in crate::overlay) fn outside_of_tags(html: String) -> String {
    if !html.contains(FIRST_STRONG_ISOLATE) {
        return html;
    }
    let mut out = String::with_capacity(html.len());
    let mut rest = html.as_str();
    while let Some(begin) = rest.find('<') {
        let (text, from) = rest.split_at(begin);
        out.push_str(text);
        let is_tag = from[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        let len = match from.starts_with("<!--") {
            // `<!-->` is a whole one.
            true => from[2..].find("-->").map_or(from.len(), |end| 2 + end + 3),
            false if is_tag => tag_len(from),
            // Less than.
            false => 1,
        };
        let (taken, behind) = from.split_at(len);
        match is_tag {
            true => out.extend(taken.chars().filter(|character| !is_isolate(*character))),
            false => out.push_str(taken),
        }
        rest = behind;
    }
    out + rest
}

/// The length of the tag that a text begins with. Quotes mean something around an attribute's value only.
fn tag_len(tag: &str) -> usize {
    let (mut quote, mut value) = (None, false);
    for (at, character) in tag.char_indices() {
        match (character, quote) {
            (closing, Some(open)) if closing == open => quote = None,
            (_, Some(_)) => {}
            ('>', None) => return at + 1,
            ('"' | '\'', None) if value => (quote, value) = (Some(character), false),
            ('=', None) => value = true,
            (_, None) => value = value && character.is_whitespace(),
        }
    }
    tag.len()
}

fn is_isolate(character: char) -> bool {
    matches!(character, FIRST_STRONG_ISOLATE | POP_DIRECTIONAL_ISOLATE)
}

/// Embeddings, overrides and isolates. The marks (U+200E, U+200F, U+061C) stand for a letter and open nothing.
fn is_control(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

const FIRST_STRONG_ISOLATE: char = '\u{2068}';
const POP_DIRECTIONAL_ISOLATE: char = '\u{2069}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_isolated_and_cannot_get_out() {
        assert_eq!(isolated("$9.90", true), "$9.90");
        assert_eq!(isolated("$9.90", false), "\u{2068}$9.90\u{2069}");
        assert_eq!(isolated("أحمر", true), "\u{2068}أحمر\u{2069}");
        assert_eq!(isolated("a\u{2069}\u{202E}é\u{2067}\u{200F}", true), "\u{2068}aé\u{200F}\u{2069}");
        assert_eq!(isolated("", false), "");
    }

    #[test]
    fn names_in_tags_stay_what_they_are() {
        let html = "<b id=\"\u{2068}cell-0\u{2069}\" title='>\u{2068}x\u{2069}'>\u{2068}0\u{2069}</b><i class=\u{2068}a\u{2069}>1 > 0 \u{2068}é\u{2069}</i>";
        let plain = "<b id=\"cell-0\" title='>x'>\u{2068}0\u{2069}</b><i class=a>1 > 0 \u{2068}é\u{2069}</i>";
        assert_eq!(outside_of_tags(html.to_owned()), plain);
        assert_eq!(
            outside_of_tags("<p>\"quoted\" isn't</p>\u{2068}é\u{2069}".into()),
            "<p>\"quoted\" isn't</p>\u{2068}é\u{2069}"
        );
    }

    #[test]
    fn what_only_looks_like_a_tag_leaves_the_values_behind_it_isolated() {
        let value = "\u{2068}é\u{2069}";
        for before in [
            "<!-- the seller's price -->",
            "<!-- <b class=\" -->",
            "<!--><p>",
            "1 < 2 isn't ",
            "<3 it's ",
            "<b title=it's>",
            "<b it's>",
            "<b title = \"it's >\">",
            "</p >it's ",
        ] {
            let html = format!("{before}{value}<i id=\"{value}\">");
            assert_eq!(outside_of_tags(html), format!("{before}{value}<i id=\"é\">"), "{before}");
        }
        // What is never closed ends with the page.
        for open in ["<!-- ", "<b title='", "<b ", "<"] {
            assert_eq!(outside_of_tags(format!("{value}{open}")), format!("{value}{open}"));
        }
    }
}
