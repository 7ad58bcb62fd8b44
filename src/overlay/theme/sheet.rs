//! CSS as the checks of a theme read it: blocks, what stands before them, and declarations. What it all means is takumi's.

/// A sheet in lower case, without what its comments and strings say. Everything else stays where it is.
pub(super) fn plain(css: &str) -> String {
    let mut plain = String::with_capacity(css.len());
    let mut rest = css;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| 2 + end + 2),
            '"' | '\'' => string_len(rest, first),
            // What is escaped is part of a name.
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            other => other.len_utf8(),
        };
        let (taken, behind) = rest.split_at(len);
        match first {
            '/' if len > 1 => plain.extend(taken.bytes().map(|_| ' ')),
            // Keyframes may be named by a string, or by what is in it.
            '"' | '\'' => plain.extend(taken.bytes().map(|byte| match byte {
                b'"' | b'\'' => ' ',
                byte if byte.is_ascii_alphanumeric() || byte == b'-' => char::from(byte.to_ascii_lowercase()),
                _ => '_',
            })),
            '\\' => plain.extend(taken.bytes().map(|_| '_')),
            other => plain.push(other.to_ascii_lowercase()),
        }
        rest = behind;
    }
    plain
}

/// The length of a string with its quotes; one that is not closed ends with its line.
fn string_len(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '\n' => return at,
            closing if closing == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where brackets nest deeper than [`MOST_DEPTH`].
pub(super) fn too_deep(css: &str) -> Option<usize> {
    let mut open: Vec<char> = vec![];
    for (at, character) in plain(css).char_indices() {
        let closing = match character {
            '{' => '}',
            '(' => ')',
            '[' => ']',
            _ => {
                open.pop_if(|closing| *closing == character);
                continue;
            }
        };
        if open.len() == MOST_DEPTH {
            return Some(at);
        }
        open.push(closing);
    }
    None
}

/// A block, or a declaration outside of any.
#[derive(Debug, PartialEq)]
pub(super) struct Part<'a> {
    /// Where it begins.
    pub(super) at: usize,
    /// What stands before the brace, or the declaration.
    pub(super) head: &'a str,
    /// What is in the braces, and where that begins.
    pub(super) body: Option<(usize, &'a str)>,
}

/// What a plain sheet holds, or a block of one. What is not closed ends with it.
pub(super) fn parts(css: &str) -> Vec<Part<'_>> {
    let mut parts = vec![];
    let (mut begin, mut open, mut depth) = (0, 0, 0_usize);
    let head = |begin: usize, end: usize| {
        let head = &css[begin..end];
        (begin + head.len() - head.trim_start().len(), head.trim())
    };
    let block = |begin, open, end| {
        let (at, head) = head(begin, open);
        Part { at, head, body: Some((open + 1, &css[open + 1..end])) }
    };
    let declaration = |begin, end| {
        let (at, head) = head(begin, end);
        Part { at, head, body: None }
    };
    for (at, character) in css.char_indices() {
        match (character, depth) {
            ('{', 0) => (open, depth) = (at, 1),
            ('{', _) => depth += 1,
            ('}', 1) => {
                parts.push(block(begin, open, at));
                (begin, depth) = (at + 1, 0);
            }
            ('}' | ';', 0) => {
                parts.push(declaration(begin, at));
                begin = at + 1;
            }
            ('}', _) => depth -= 1,
            _ => {}
        }
    }
    parts.push(if depth == 0 { declaration(begin, css.len()) } else { block(begin, open, css.len()) });
    parts.retain(|part| part.body.is_some() || !part.head.is_empty());
    parts
}

/// `property: value !important`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Declaration<'a> {
    pub(super) property: &'a str,
    pub(super) value: &'a str,
    pub(super) important: bool,
}

impl Declaration<'_> {
    pub(super) fn parse(text: &str) -> Option<Declaration<'_>> {
        let (property, value) = text.split_once(':')?;
        let marked = value.rsplit_once('!').filter(|(_, mark)| mark.trim() == "important");
        let (value, important) = marked.map_or((value, false), |(value, _)| (value, true));
        Some(Declaration { property: property.trim(), value: value.trim(), important })
    }
}

/// The pieces of a value between separators, those in brackets left out.
pub(super) fn split(value: &str, separates: fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let pieces = value.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && separates(character)
    });
    pieces.map(str::trim).filter(|piece| !piece.is_empty())
}

/// Blocks and brackets within one another.
pub(super) const MOST_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_say_nothing_and_everything_keeps_its_place() {
        let css = "/* { é */ .A::after { Content: \"} ü\\\" ;\"; COLOR: Red } .\\{ { } @keyframes 'Blink' {";
        let plain = plain(css);
        assert_eq!(plain.len(), css.len());
        for (word, was) in [("content", "Content"), ("red", "Red"), ("blink", "Blink"), (".__ {", ".\\{ {")] {
            assert_eq!(plain.find(word), css.find(was), "{plain}");
        }
        let heads: Vec<&str> = parts(&plain).iter().map(|part| part.head).collect();
        assert_eq!(heads, [".a::after", ".__", "@keyframes  blink"]);
        // A string ends with its line, a comment with the sheet.
        assert_eq!(super::plain("\"a\nB/*\u{e4}"), " a\nb    ");
    }

    #[test]
    fn declarations_are_told_from_blocks_in_the_same_rule() {
        let css = "a: 1; &.b { c: 2; d { e: 3 } } f: 4 } ; g: 5 !  important; h { i: 6";
        let parts = parts(css);
        let of: Vec<_> = parts.iter().map(|part| (part.head, part.body.map(|(_, body)| body.trim()))).collect();
        let blocks = [("&.b", Some("c: 2; d { e: 3 }")), ("h", Some("i: 6"))];
        assert_eq!(of, [("a: 1", None), blocks[0], ("f: 4", None), ("g: 5 !  important", None), blocks[1]]);
        assert!(parts.iter().all(|part| css[part.at..].starts_with(part.head)));
        assert!(parts.iter().filter_map(|part| part.body).all(|(at, body)| css[at..].starts_with(body)));
        let g = Declaration { property: "g", value: "5", important: true };
        assert_eq!(Declaration::parse(of[3].0), Some(g));
    }

    #[test]
    fn values_are_parted_outside_of_brackets() {
        let parted: Vec<&str> = split("a steps(2, end) , cubic-bezier(0, 0, 1, 1) b,,)c", |c| c == ',').collect();
        assert_eq!(parted, ["a steps(2, end)", "cubic-bezier(0, 0, 1, 1) b", ")c"]);
    }

    #[test]
    fn what_nests_deeper_than_any_sheet_is_found_in_one_walk() {
        let nested = |times: usize| "@media{".repeat(times) + &"}".repeat(times);
        assert_eq!(too_deep(&nested(MOST_DEPTH)), None);
        assert_eq!(too_deep(&nested(MOST_DEPTH + 1)), Some(MOST_DEPTH * 7 + 6));
        assert_eq!(too_deep(&nested(4).repeat(9_000)), None);
        assert!(too_deep(&"(".repeat(200_000)).is_some());
        // A bracket is closed by its own kind only.
        assert!(too_deep(&"{)]".repeat(17)).is_some());
        assert_eq!(too_deep(&"\"{\"/*{*/".repeat(17)), None);
    }
}
