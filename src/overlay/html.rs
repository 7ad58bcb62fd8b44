//! HTML and CSS to pixels. takumi ends here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use takumi::prelude::{
    Direction as Runs, DitheringAlgorithm, FromHtmlOptions, ImageSourceInput, Lang, MeasuredNode, Node, NodeKind,
    RenderOptions, StyleSheet, Viewport,
};

use super::digits::Face;
use super::fonts::{Choice, FontError, Library};
use super::locale::{Direction, Locale};
use super::photo::Photo;
use super::raster::{Painting, Rect};
use crate::media::Resolution;

/// Paints pages with the fonts that their texts need.
pub struct Typesetter {
    fonts: Library,
}

/// A page ready to paint: its nodes with its pictures in their places, and the part of the canvas to paint.
pub struct Page {
    node: Node,
    /// Everything that is written on it.
    text: String,
    locale: Locale,
    canvas: Resolution,
    area: Rect,
}

/// Where a page put what the compositor has to find again.
#[derive(Debug, Default)]
pub struct Landmarks {
    /// The element with `id="hit"`; empty when there is none.
    pub hit: Rect,
    /// The elements with `id="cell-0"`, `id="cell-1"`…
    pub cells: Vec<Rect>,
}

#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    #[error("font {0}")]
    Font(#[from] FontError),
    #[error("the page nests deeper than {MOST_DEPTH} elements")]
    TooDeep,
    #[error("the page has {nodes} nodes; it may have {MOST_NODES}")]
    TooManyNodes { nodes: usize },
    #[error("the page's boxes reach {width:.0}x{height:.0} on a canvas of {canvas}")]
    TooLarge { width: f32, height: f32, canvas: Resolution },
    #[error("painting failed: {0}")]
    Paint(String),
}

impl Typesetter {
    /// The embedded fonts, every font file of a folder, and what Debian's packages have: see [`Library`].
    pub fn new(folder: Option<&Path>) -> Result<Typesetter, HtmlError> {
        Ok(Typesetter { fonts: Library::open(folder)? })
    }

    /// The fonts that it paints with.
    pub fn fonts(&self) -> &Library {
        &self.fonts
    }

    /// Paints a page on an otherwise transparent canvas.
    pub fn paint(&self, page: &Page, sheet: &Arc<StyleSheet>) -> Result<Painting, HtmlError> {
        if page.area.is_empty() {
            return Ok(Painting { canvas: Rect::of(page.canvas), area: page.area, rgba: vec![] });
        }
        let choice = self.fonts.choose(&page.text, page.locale);
        let bitmap = takumi::render(options(page, sheet, &choice)).map_err(|e| HtmlError::Paint(e.to_string()))?;
        Ok(Painting { canvas: Rect::of(page.canvas), area: page.area, rgba: bitmap.into_raw() })
    }

    /// Finds a page's landmarks: paints it once more with nothing but them visible, each in a colour of its own. Unlike a
    /// look at the layout tree this holds for whatever a template does (nesting, transforms, positions).
    pub fn landmarks(&self, page: &Page, css: &str) -> Result<Landmarks, HtmlError> {
        let mut css = format!("{css}\n{ONLY_LANDMARKS}");
        for cell in 0..Face::MOST_CELLS {
            let blue = marker_of_cell(cell);
            css.push_str(&format!("#cell-{cell}{{{LANDMARK};background-color:rgb(255,0,{blue})!important}}\n"));
        }
        css.push_str(&format!("#hit{{{LANDMARK};background-color:rgb(0,255,0)!important}}\n"));
        let sheet = StyleSheet::parse(&css).map_err(|error| HtmlError::Paint(error.to_string()))?;
        let painting = self.paint(page, &Arc::new(sheet))?;
        let cell =
            |cell: usize| painting.bounds(|[r, _, b, a]| a > 0 && r > 128 && b.abs_diff(marker_of_cell(cell)) <= 8);
        let hit = painting.bounds(|[r, g, _, a]| a > 0 && g > r);
        Ok(Landmarks {
            // Cells may cover its edges.
            hit: if hit.is_empty() { hit } else { painting.bounds(|[_, _, _, a]| a > 0) },
            cells: (0..Face::MOST_CELLS).map(cell).take_while(|cell| !cell.is_empty()).collect(),
        })
    }

    /// Refuses a page with boxes far beyond the canvas: painting takes memory by their size.
    pub fn check(&self, page: &Page, sheet: &Arc<StyleSheet>) -> Result<(), HtmlError> {
        let choice = self.fonts.choose(&page.text, page.locale);
        let root = takumi::measure(options(page, sheet, &choice)).map_err(|e| HtmlError::Paint(e.to_string()))?;
        let canvas = page.canvas;
        let most = MOST_CANVASES * canvas.width.max(canvas.height) as f32;
        match largest(&root) {
            (width, height) if width > most || height > most => Err(HtmlError::TooLarge { width, height, canvas }),
            _ => Ok(()),
        }
    }
}

impl Page {
    /// Parses HTML, to be laid out on a canvas and painted inside of `area`. `<img src="NAME">` shows the image of that name;
    /// any other source shows nothing.
    pub fn parse(
        html: &str,
        images: &BTreeMap<String, Arc<Photo>>,
        canvas: Resolution,
        area: Rect,
    ) -> Result<Page, HtmlError> {
        let html = format!(
            r#"<div style="position:absolute;left:-{}px;top:-{}px;width:{}px;height:{}px">{html}</div>"#,
            area.x, area.y, canvas.width, canvas.height
        );

        // No Tailwind: classes mean what the template's own CSS says.
        let options = FromHtmlOptions::builder().max_depth(MOST_DEPTH).tailwind_property("data-no-tailwind").build();
        let mut node = takumi::from_html(&html, options).map_err(|_| HtmlError::TooDeep)?;
        let (mut nodes, mut text) = (0, String::new());
        place_images(&mut node, images, &mut nodes, &mut text);
        if nodes > MOST_NODES {
            return Err(HtmlError::TooManyNodes { nodes });
        }
        Ok(Page { node, text, locale: Locale::default(), canvas, area })
    }

    /// Sets its text in a language: the forms of its characters, where lines break, and which way it runs.
    pub fn speaking(mut self, locale: Locale) -> Page {
        let runs = match locale.direction() {
            Direction::LeftToRight => Runs::Ltr,
            Direction::RightToLeft => Runs::Rtl,
        };
        (self.node, self.locale) = (self.node.with_dir(runs), locale);
        self
    }
}

fn options<'a>(page: &Page, sheet: &Arc<StyleSheet>, choice: &'a Choice) -> RenderOptions<'a> {
    let mut viewport = Viewport::new((page.area.w, page.area.h)).with_font_size(rem(page.canvas));
    // `vw` and `vh` are the canvas's, whatever part of it is painted.
    let unit = viewport.unit_reference.get_or_insert_default();
    (unit.width, unit.height) = (page.canvas.width as f32, page.canvas.height as f32);
    RenderOptions::builder()
        .viewport(viewport)
        .node(page.node.clone())
        .fonts(&choice.fonts)
        .font_families(Some(choice.families.clone()))
        .lang(Lang::parse(&page.locale.to_string()).ok())
        .stylesheet(sheet.clone())
        .dithering(DitheringAlgorithm::OrderedBayer)
        .build()
}

/// Puts the images into a page's nodes, counts them, and gathers what is written in them.
fn place_images(node: &mut Node, images: &BTreeMap<String, Arc<Photo>>, nodes: &mut usize, text: &mut String) {
    *nodes += 1;
    match &mut node.kind {
        NodeKind::Container { children } => {
            children.iter_mut().for_each(|child| place_images(child, images, nodes, text))
        }
        NodeKind::Image(image) => {
            let named = match &image.src {
                ImageSourceInput::Url(name) => images.get(&**name),
                _ => None,
            };
            match named {
                Some(photo) => image.src = ImageSourceInput::Rgba(photo.pixels().clone()),
                None => node.kind = NodeKind::Container { children: vec![] },
            }
        }
        NodeKind::Text(written) => {
            // Apart, so that no two elements make up a cluster.
            text.push('\n');
            text.push_str(&written.text);
        }
        _ => {}
    }
}

/// What `1rem` is, in pixels: a hundredth of the canvas's shorter side, so that a template scales with it. A portrait canvas
/// is watched on a phone held upright, where the same share of its width would be too small to read.
fn rem(canvas: Resolution) -> f32 {
    let hundredth = canvas.width.min(canvas.height) as f32 / 100.0;
    if canvas.height > canvas.width { hundredth * 1.3 } else { hundredth }
}

/// The widest width and the highest height of any box.
fn largest(node: &MeasuredNode) -> (f32, f32) {
    node.children.iter().map(largest).fold((node.width, node.height), |a, b| (a.0.max(b.0), a.1.max(b.1)))
}

/// Far enough apart that rounding never takes one cell for another.
fn marker_of_cell(cell: usize) -> u8 {
    (cell as u8 + 1) * 32
}

const ONLY_LANDMARKS: &str = "*,*::before,*::after{visibility:hidden!important}\n";
const LANDMARK: &str = "visibility:visible!important;background-image:none!important;color:transparent!important;border-color:transparent!important;\
    border-radius:0!important;box-shadow:none!important;text-shadow:none!important;opacity:1!important";

const MOST_DEPTH: usize = 32;
const MOST_NODES: usize = 512;
/// How many times the canvas's longer side a box may be long.
const MOST_CANVASES: f32 = 4.0;

#[cfg(test)]
mod tests;
