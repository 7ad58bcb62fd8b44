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
use super::motion::Anchor;
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

/// Where on the canvas a page's content lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub anchor: Anchor,
    /// Between the content and the canvas's edge, in rem.
    pub margin: f32,
}

/// Where a page put what the compositor has to find again.
#[derive(Debug, Default)]
pub struct Landmarks {
    /// The elements with `id="hit-0"`, `id="hit-1"`…, or the one with `id="hit"`.
    pub hits: Vec<Rect>,
    /// The elements with `id="cell-0"`, `id="cell-1"`…, each with its number: a template may leave some out.
    pub cells: Vec<(usize, Rect)>,
    /// The element with `id="window"`; empty when there is none.
    pub window: Rect,
}

/// Which parts of a page are painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Everything,
    /// All but what is drawn by itself: the ring and the glow.
    Ground,
    /// The element with this id, and what is in it.
    Only(&'static str),
    /// The element with `id="glass"` as one opaque shape.
    GlassShape,
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
    #[error(
        "the animation's {frames} frames change {width}x{height} pixels: more than is kept of one; let less of it move, or for a shorter time"
    )]
    Film { frames: u32, width: u32, height: u32 },
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

    /// Paints a page on an otherwise transparent canvas, as its animations stand at a time.
    pub fn paint(&self, page: &Page, sheet: &Arc<StyleSheet>, time_ms: u64) -> Result<Painting, HtmlError> {
        if page.area.is_empty() {
            return Ok(Painting { canvas: Rect::of(page.canvas), area: page.area, rgba: vec![] });
        }
        let choice = self.fonts.choose(&page.text, page.locale);
        let bitmap =
            takumi::render(options(page, sheet, &choice, time_ms)).map_err(|e| HtmlError::Paint(e.to_string()))?;
        Ok(Painting { canvas: Rect::of(page.canvas), area: page.area, rgba: bitmap.into_raw() })
    }

    /// Finds a page's landmarks: paints it once more by [`landmark_sheet`]. Unlike a look at the layout tree this holds for
    /// whatever a template does (nesting, transforms, positions).
    pub fn landmarks(&self, page: &Page, sheet: &Arc<StyleSheet>) -> Result<Landmarks, HtmlError> {
        let painting = self.paint(page, sheet, 0)?;
        let near = |blue: u8| (0..MARKERS).find(|index| blue.abs_diff(marker(*index)) <= 8);
        let found: [Rect; 2 * MARKERS + 2] = painting.bounds(|[r, g, b, a]| match (r, g) {
            _ if a == 0 => None,
            (192.., ..64) => near(b),
            (64..192, 0) if b == 0 => Some(2 * MARKERS),
            // Blended with others at its edges it is still the one that all of them make up.
            _ if g > r => near(b).map_or(Some(2 * MARKERS + 1), |index| Some(MARKERS + index)),
            _ => None,
        });
        let (cells, hits) = (&found[..Face::MOST_CELLS], &found[MARKERS..][..MOST_HITS]);
        let mut hits: Vec<Rect> = hits.iter().copied().take_while(|hit| !hit.is_empty()).collect();
        if hits.is_empty()
            && found[MARKERS..2 * MARKERS].iter().chain(&found[2 * MARKERS + 1..]).any(|hit| !hit.is_empty())
        {
            // Cells and a window may cover its edges.
            hits.push(painting.seen());
        }
        Ok(Landmarks {
            hits,
            cells: cells.iter().copied().enumerate().filter(|(_, cell)| !cell.is_empty()).collect(),
            window: found[2 * MARKERS],
        })
    }

    /// The style sheet that shows a part of a page and hides the rest.
    pub fn sheet_of(&self, part: Part, css: &str) -> Result<Arc<StyleSheet>, HtmlError> {
        let shown = match part {
            Part::Everything => String::new(),
            Part::Ground => "#ring,#ring *,#glow,#glow *{visibility:hidden!important}".to_owned(),
            Part::Only(id) => format!("{ONLY_LANDMARKS}#{id},#{id} *{{visibility:visible!important}}"),
            Part::GlassShape => format!("{ONLY_LANDMARKS}#glass{{{GLASS}}}"),
        };
        let sheet = StyleSheet::parse(&format!("{css}\n{shown}"));
        sheet.map(Arc::new).map_err(|error| HtmlError::Paint(error.to_string()))
    }

    /// How wide a strip's content is, in pixels.
    pub fn strip_width(&self, page: &Page, sheet: &Arc<StyleSheet>) -> Result<f32, HtmlError> {
        let choice = self.fonts.choose(&page.text, page.locale);
        let root = takumi::measure(options(page, sheet, &choice, 0)).map_err(|e| HtmlError::Paint(e.to_string()))?;
        Ok(root.children.iter().map(|child| child.width).fold(0.0, f32::max))
    }

    /// The width and height of every box of a page.
    pub fn boxes(&self, page: &Page, sheet: &Arc<StyleSheet>) -> Result<Vec<(f32, f32)>, HtmlError> {
        fn all(node: &MeasuredNode, boxes: &mut Vec<(f32, f32)>) {
            boxes.push((node.width, node.height));
            node.children.iter().for_each(|child| all(child, boxes));
        }
        let choice = self.fonts.choose(&page.text, page.locale);
        let root = takumi::measure(options(page, sheet, &choice, 0)).map_err(|e| HtmlError::Paint(e.to_string()))?;
        let mut boxes = vec![];
        all(&root, &mut boxes);
        Ok(boxes)
    }

    /// Refuses a page with boxes far beyond the canvas: painting takes memory by their size. Tells where on the canvas the boxes lie.
    pub fn check(&self, page: &Page, sheet: &Arc<StyleSheet>) -> Result<Rect, HtmlError> {
        let choice = self.fonts.choose(&page.text, page.locale);
        let root = takumi::measure(options(page, sheet, &choice, 0)).map_err(|e| HtmlError::Paint(e.to_string()))?;
        let canvas = page.canvas;
        let most = MOST_CANVASES * canvas.width.max(canvas.height) as f32;
        match largest(&root) {
            (width, height) if width > most || height > most => Err(HtmlError::TooLarge { width, height, canvas }),
            _ => Ok(boxes(&root, canvas)),
        }
    }
}

impl Page {
    /// Parses HTML, to be laid out at its place on a canvas and painted inside of `area`. `<img src="NAME">` shows the image of
    /// that name; any other source shows nothing.
    pub fn parse(
        html: &str,
        images: &BTreeMap<String, Arc<Photo>>,
        canvas: Resolution,
        place: Place,
        area: Rect,
    ) -> Result<Page, HtmlError> {
        let Rect { x, y, .. } = area;
        let (width, height) = (canvas.width, canvas.height);
        let safe = safe_area(canvas, place);
        let html = format!(
            r#"<div style="position:absolute;left:-{x}px;top:-{y}px;width:{width}px;height:{height}px;{safe}">{html}</div>"#
        );
        Page::of(&html, images, canvas, area)
    }

    /// One line of HTML as wide as it comes, `height` pixels high; `width` is what it is given at most.
    pub fn strip(
        html: &str,
        images: &BTreeMap<String, Arc<Photo>>,
        canvas: Resolution,
        width: u32,
        height: u32,
    ) -> Result<Page, HtmlError> {
        let html = format!(
            r#"<div style="position:absolute;left:0;top:0;height:{height}px;display:flex;align-items:center;white-space:nowrap">{html}</div>"#
        );
        Page::of(&html, images, canvas, Rect { x: 0, y: 0, w: width, h: height })
    }

    fn of(
        html: &str,
        images: &BTreeMap<String, Arc<Photo>>,
        canvas: Resolution,
        area: Rect,
    ) -> Result<Page, HtmlError> {
        // No Tailwind: classes mean what the template's own CSS says.
        let options = FromHtmlOptions::builder().max_depth(MOST_DEPTH).tailwind_property("data-no-tailwind").build();
        let mut node = takumi::from_html(html, options).map_err(|_| HtmlError::TooDeep)?;
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

    /// The part of the canvas that is painted.
    pub fn area(&self) -> Rect {
        self.area
    }

    /// The same page, with another part of the canvas to be painted. Only a strip's part can be chosen after parsing.
    pub fn of_width(self, width: u32) -> Page {
        Page { area: Rect { w: width, ..self.area }, ..self }
    }
}

/// The style sheet by which landmarks are found: nothing but them is visible, each in a colour of its own.
pub fn landmark_sheet(css: &str) -> Result<Arc<StyleSheet>, HtmlError> {
    let mut css = format!("{css}\n{ONLY_LANDMARKS}");
    let mut mark = |id: &str, [red, green, blue]: [u8; 3]| {
        css.push_str(&format!("#{id}{{{LANDMARK};background-color:rgb({red},{green},{blue})!important}}\n"));
    };
    (0..Face::MOST_CELLS).for_each(|cell| mark(&format!("cell-{cell}"), [255, 0, marker(cell)]));
    (0..MOST_HITS).for_each(|hit| mark(&format!("hit-{hit}"), [0, 255, marker(hit)]));
    mark("hit", [0, 255, 0]);
    mark("window", [128, 0, 0]);
    StyleSheet::parse(&css).map(Arc::new).map_err(|error| HtmlError::Paint(error.to_string()))
}

/// The box that a layer's markup lies in, as CSS: the safe area, its content at the anchor.
fn safe_area(canvas: Resolution, place: Place) -> String {
    use Anchor::*;
    if place.anchor == Fill {
        return String::new();
    }
    let margin = place.margin * rem(canvas);
    let across = match place.anchor {
        TopLeft | Left | BottomLeft => "flex-start",
        TopRight | Right | BottomRight => "flex-end",
        Top | Center | Bottom | Fill => "center",
    };
    let down = match place.anchor {
        TopLeft | Top | TopRight => "flex-start",
        BottomLeft | Bottom | BottomRight => "flex-end",
        Left | Center | Right | Fill => "center",
    };
    format!(
        "box-sizing:border-box;padding:{margin:.2}px;display:flex;flex-direction:column;align-items:{across};justify-content:{down}"
    )
}

fn options<'a>(page: &Page, sheet: &Arc<StyleSheet>, choice: &'a Choice, time_ms: u64) -> RenderOptions<'a> {
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
        .time_ms(time_ms)
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
pub(super) fn rem(canvas: Resolution) -> f32 {
    let hundredth = canvas.width.min(canvas.height) as f32 / 100.0;
    if canvas.height > canvas.width { hundredth * 1.3 } else { hundredth }
}

/// Where on a canvas a page's boxes lie, but for those as large as the canvas: what others lie in.
fn boxes(node: &MeasuredNode, canvas: Resolution) -> Rect {
    let inner = node.children.iter().map(|child| boxes(child, canvas)).fold(Rect::default(), Rect::union);
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    if node.width >= width && node.height >= height {
        return inner;
    }
    let [a, b, c, d, e, f] = node.transform;
    let corners = [(0.0, 0.0), (node.width, 0.0), (0.0, node.height), (node.width, node.height)];
    let corners = corners.map(|(x, y)| (a * x + c * y + e, b * x + d * y + f));
    let least = |v: [f32; 4], most: f32| v.into_iter().fold(f32::MAX, f32::min).floor().clamp(0.0, most) as u32;
    let most = |v: [f32; 4], most: f32| v.into_iter().fold(f32::MIN, f32::max).ceil().clamp(0.0, most) as u32;
    let (x, y) = (corners.map(|corner| corner.0), corners.map(|corner| corner.1));
    let (left, top) = (least(x, width), least(y, height));
    let own = Rect { x: left, y: top, w: most(x, width) - left, h: most(y, height) - top };
    inner.union(own)
}

/// The widest width and the highest height of any box.
fn largest(node: &MeasuredNode) -> (f32, f32) {
    node.children.iter().map(largest).fold((node.width, node.height), |a, b| (a.0.max(b.0), a.1.max(b.1)))
}

/// The blue of a landmark's colour: far enough apart that rounding never takes one for another.
fn marker(index: usize) -> u8 {
    (index as u8 + 1) * 32
}

const ONLY_LANDMARKS: &str = "*,*::before,*::after{visibility:hidden!important}\n";
const LANDMARK: &str = "visibility:visible!important;background-image:none!important;color:transparent!important;border-color:transparent!important;\
    outline-color:transparent!important;border-radius:0!important;box-shadow:none!important;text-shadow:none!important;opacity:1!important";

/// What `#glass` is painted as to find its shape.
const GLASS: &str = "visibility:visible!important;background-image:none!important;background-color:rgb(0,0,0)!important;\
    border-color:transparent!important;outline-color:transparent!important;box-shadow:none!important;opacity:1!important;filter:none!important";

/// Colours of one hue that can be told apart.
const MARKERS: usize = 7;
/// Clickable parts of one layer.
const MOST_HITS: usize = 6;
const MOST_DEPTH: usize = 32;
const MOST_NODES: usize = 512;
/// How many times the canvas's longer side a box may be long.
const MOST_CANVASES: f32 = 4.0;

#[cfg(test)]
mod tests;
