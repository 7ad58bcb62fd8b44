//! Whether text can be read over any picture (WCAG 2.2, 1.4.3): found by painting, not by reading CSS, so that gradients,
//! translucent cards, shadows and opacity count as they look.
//!
//! A template is painted as it is, without its text, and with nothing but its text. Where text covers a pixel, the first two tell
//! its colour and what lies beneath; the third tells how much it covers, and in its colour the line of the template.

use std::collections::BTreeMap;
use std::sync::Arc;

use takumi::prelude::StyleSheet;

use super::Template;
use super::problem::ThemeError;
use super::trial::{Trial, file};
use crate::overlay::html::{Page, rem};

/// Tells each line of a kind's templates whose text is too faint.
pub(super) fn wrong(trial: &Trial<'_>) -> Result<Vec<ThemeError>, ThemeError> {
    if UNREAD.contains(&trial.kind.name()) {
        return Ok(vec![]);
    }
    let mut wrong = faint(trial, &trial.kind.template, [0; 4])?;
    if let Some(strip) = &trial.kind.strip {
        wrong.extend(faint(trial, strip, behind_strip(trial)?)?);
    }
    Ok(wrong)
}

/// Tells the lines of one template, which lies on a plate of one colour.
fn faint(trial: &Trial<'_>, template: &Template, plate: [u8; 4]) -> Result<Vec<ThemeError>, ThemeError> {
    let lines = Lines::of(trial, template)?;
    let unmeasured = |reason| unmeasured(template, reason);
    let faintest = lines.faintest(&template.css, trial, plate).map_err(unmeasured)?;
    if faintest.is_empty() {
        return Ok(vec![]);
    }
    let large = lines.large(&template.css, trial).map_err(unmeasured)?;
    let needed = |line: &usize| if large.get(line) == Some(&true) { LARGE } else { NORMAL };
    let faint = faintest.iter().filter(|(line, (_, ratio))| *ratio < needed(line) - ROUNDING);
    let tell = |(line, (picture, ratio)): (&usize, &(&str, f32))| {
        let ratio = (ratio * 10.0).floor() / 10.0;
        let reason = format!(
            "text here has a contrast of {ratio:.1}:1 over a {picture} picture, and needs {}:1 (WCAG 1.4.3): set it \
             off more from what is behind it, or make that less transparent",
            needed(line)
        );
        ThemeError::at(file(template), *line, reason)
    };
    Ok(faint.map(tell).collect())
}

/// The colour in the middle of the window that a strip moves through; nothing where there is no window.
fn behind_strip(trial: &Trial<'_>) -> Result<[u8; 4], ThemeError> {
    let template = &trial.kind.template;
    let unmeasured = |reason| unmeasured(template, reason);
    let page = trial.page(&template.render(&trial.values)?).map_err(unmeasured)?;
    let painted = |more: &str| {
        let painting = trial.typesetter.paint(&page, &sheet(&template.css, more)?, 0);
        painting.map_err(|error| error.to_string())
    };
    let window = painted(&format!("{ONLY_TEXT}{NO_TEXT}#window{{background-color:#fff!important}}\n"));
    let window = window.map_err(unmeasured)?.seen();
    if window.is_empty() {
        return Ok([0; 4]);
    }
    let whole = painted("").map_err(unmeasured)?;
    let middle = (window.y + window.h / 2) * trial.canvas.width + window.x + window.w / 2;
    Ok(whole.rgba.as_chunks::<4>().0.get(middle as usize).copied().unwrap_or_default())
}

fn unmeasured(template: &Template, reason: String) -> ThemeError {
    ThemeError::at(file(template), 1, format!("its contrast cannot be measured: {reason}"))
}

/// The picture over which text is faintest, and its contrast there.
type Faintest = (&'static str, f32);

/// A template's page whose elements know the lines that they stand in.
struct Lines {
    page: Page,
    /// Lines with an opening tag.
    numbers: Vec<usize>,
}

impl Lines {
    fn of(trial: &Trial<'_>, template: &Template) -> Result<Lines, ThemeError> {
        let html = template.markup().render_with_lines(&trial.values)?;
        let numbers = html.split("data-line=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok());
        let mut numbers: Vec<usize> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        let page = trial.page(&html).map_err(|reason| ThemeError::at(file(template), 1, reason))?;
        Ok(Lines { page, numbers })
    }

    /// For each line the picture over which its text is faintest, and the contrast there.
    fn faintest(&self, css: &str, trial: &Trial<'_>, plate: [u8; 4]) -> Result<BTreeMap<usize, Faintest>, String> {
        let painted = |more: &str| {
            let painting = trial.typesetter.paint(&self.page, &sheet(css, more)?, 0);
            Ok::<_, String>(painting.map_err(|error| error.to_string())?.rgba)
        };
        let rule = |(index, number): (usize, &usize)| {
            let [r, g, b] = colour_of(index);
            format!("{}{{color:rgb({r},{g},{b})!important}}\n", of_line(*number))
        };
        let marks: String = self.numbers.iter().enumerate().map(rule).collect();
        let (whole, bare, text) = (painted("")?, painted(NO_TEXT)?, painted(&format!("{ONLY_TEXT}{marks}"))?);

        let mut seen: BTreeMap<usize, [Vec<f32>; 3]> = BTreeMap::new();
        let pixels = text.as_chunks::<4>().0.iter().zip(whole.as_chunks::<4>().0).zip(bare.as_chunks::<4>().0);
        for ((mark, whole), bare) in pixels.filter(|((mark, _), _)| mark[3] >= COVERED) {
            let Some(line) = index_of(*mark).and_then(|index| self.numbers.get(index)) else { continue };
            let covered = f32::from(mark[3]) / 255.0;
            for ((_, grey), ratios) in PICTURES.iter().zip(seen.entry(*line).or_default()) {
                let ground = over(plate, [*grey; 3]);
                let (with, without) = (over(*whole, ground), over(*bare, ground));
                let ink: [f32; 3] =
                    std::array::from_fn(|c| (without[c] + (with[c] - without[c]) / covered).clamp(0.0, 255.0));
                ratios.push(contrast(ink, without));
            }
        }
        // Text that shows nowhere holds a place, and is not there to be read.
        seen.retain(|_, ratios| ratios[0].len() >= FEW && ratios.iter().flatten().any(|ratio| *ratio > 1.1));
        let faintest = seen.into_iter().filter_map(|(line, ratios)| {
            let of_picture = ratios.into_iter().zip(PICTURES).map(|(mut ratios, (picture, _))| {
                ratios.sort_by(f32::total_cmp);
                (picture, ratios[ratios.len() / 10])
            });
            Some((line, of_picture.min_by(|a, b| a.1.total_cmp(&b.1))?))
        });
        Ok(faintest.collect())
    }

    /// Measures each line's text: its size as a box one em wide, and its weight as what a lighter one would save.
    fn large(&self, css: &str, trial: &Trial<'_>) -> Result<BTreeMap<usize, bool>, String> {
        let measured = |settings: &str| -> Result<BTreeMap<usize, Vec<f32>>, String> {
            let rule = |(index, number): (usize, &usize)| {
                format!("{}{{{FREE}{settings};height:{}px!important}}\n", of_line(*number), HEIGHTS + index)
            };
            let rules: String = self.numbers.iter().enumerate().map(rule).collect();
            let boxes = trial.typesetter.boxes(&self.page, &sheet(css, &rules)?);
            let mut widths: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
            for (width, height) in boxes.map_err(|error| error.to_string())? {
                let index = (height.round() as usize).checked_sub(HEIGHTS);
                if let Some(number) = index.and_then(|index| self.numbers.get(index)) {
                    widths.entry(*number).or_default().push(width);
                }
            }
            Ok(widths)
        };
        let sizes = measured("width:1em!important")?;
        let as_is = measured("width:max-content!important")?;
        let light = measured("width:max-content!important;font-weight:400!important")?;
        let rem = rem(trial.canvas);
        let large = |(line, sizes): (usize, Vec<f32>)| {
            let size = sizes.into_iter().fold(f32::MAX, f32::min) / rem;
            let (as_is, light) = (as_is.get(&line), light.get(&line));
            let saved = as_is.zip(light).is_some_and(|(as_is, light)| {
                as_is.len() == light.len() && as_is.iter().zip(light).all(|(as_is, light)| as_is - light > 0.5)
            });
            (line, size >= 3.99 || size >= 2.99 && saved)
        };
        Ok(sizes.into_iter().map(large).collect())
    }
}

fn sheet(css: &str, more: &str) -> Result<Arc<StyleSheet>, String> {
    StyleSheet::parse(&format!("{css}\n{more}")).map(Arc::new).map_err(|error| format!("{error:?}"))
}

/// A selector of the elements of a line that goes before any likely one.
fn of_line(number: usize) -> String {
    format!("[data-line=\"{number}\"]").repeat(4)
}

/// Colours far enough apart that rounding never takes one for another.
fn colour_of(index: usize) -> [u8; 3] {
    [index % 32, index / 32 % 32, index / 1024 % 32].map(|digit| (digit * 8 + 4) as u8)
}

fn index_of([r, g, b, _]: [u8; 4]) -> Option<usize> {
    let [r, g, b] = [r, g, b].map(|digit| usize::from(digit) / 8);
    Some(r + 32 * g + 1024 * b)
}

/// What a pixel looks like over a ground.
fn over(pixel: [u8; 4], ground: [f32; 3]) -> [f32; 3] {
    let a = f32::from(pixel[3]) / 255.0;
    std::array::from_fn(|c| f32::from(pixel[c]) * a + ground[c] * (1.0 - a))
}

/// WCAG 2.2, "contrast ratio".
fn contrast(a: [f32; 3], b: [f32; 3]) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// WCAG 2.2, "relative luminance".
fn luminance(colour: [f32; 3]) -> f32 {
    let linear = |c: f32| match c / 255.0 {
        c if c <= 0.04045 => c / 12.92,
        c => ((c + 0.055) / 1.055).powf(2.4),
    };
    let [r, g, b] = colour.map(linear);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Kinds whose text is no information: it lies over the picture on purpose, as faint as that.
const UNREAD: [&str; 1] = ["watermark"];
const NORMAL: f32 = 4.5;
/// For text of 4 rem and more, or 3 rem and more where it is bold.
const LARGE: f32 = 3.0;
/// What eight bits a colour and the edges of letters cost a measurement.
const ROUNDING: f32 = 0.05;
const PICTURES: [(&str, f32); 3] = [("black", 0.0), ("grey", 128.0), ("white", 255.0)];
/// Of 255: pixels that text covers less are its edges.
const COVERED: u8 = 180;
/// Pixels: fewer are a dot that cannot be told from an edge.
const FEW: usize = 8;
/// Pixels: a box as high as this and its line's index is the line's.
const HEIGHTS: usize = 100_000;

// Longhands only: takumi takes no `!important` behind `background`, `border` and `white-space`.
const NO_TEXT: &str = "*,*::before,*::after{color:transparent!important}\n";
const ONLY_TEXT: &str = "*,*::before,*::after{background-color:transparent!important;background-image:none!important;\
    border-color:transparent!important;box-shadow:none!important;text-shadow:none!important;outline-color:transparent!important;\
    opacity:1!important;filter:none!important}\nimg{visibility:hidden!important}\n";
const FREE: &str = "display:block!important;position:absolute!important;box-sizing:border-box!important;min-width:0!important;\
    max-width:none!important;min-height:0!important;max-height:none!important;padding:0!important;border-width:0!important;\
    margin:0!important;transform:none!important;";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_the_standard() {
        let ratio = |a, b| (contrast(a, b) * 100.0).round() / 100.0;
        assert_eq!(ratio([0.0; 3], [255.0; 3]), 21.0);
        assert_eq!(ratio([119.0; 3], [255.0; 3]), 4.48);
        assert_eq!(ratio([255.0, 0.0, 0.0], [255.0; 3]), 4.0);
    }

    #[test]
    fn a_line_is_found_again_by_its_colour() {
        for index in [0, 31, 32, 1023, 1024, 5000] {
            let [r, g, b] = colour_of(index);
            assert_eq!(index_of([r + 2, g - 2, b, 200]), Some(index));
        }
    }
}
