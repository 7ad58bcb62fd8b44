//! Which fonts there are, and which of them a text is painted with.
//!
//! ```text
//!  embedded ── the folder's ── Debian's packages (read when a text first needs them) ──► Library::choose(text, locale)
//! ```
//!
//! Embedded are Latin with every Vietnamese letter (sans, serif, and a heavy condensed face), Thai, Hebrew and Arabic; whatever
//! writes no Chinese, Japanese, Korean or emoji needs nothing else. Those come from Debian's packages: their files are tens of
//! megabytes, so each is read for the first text that wants it and then serves every show.
//!
//! What a text is painted with follows from the text, its locale and what is installed, never from what was read before it: the
//! same scene has the same pixels after a restart.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skrifa::raw::FileRef;
use skrifa::{FontRef, GlyphId, MetadataProvider};
use takumi::prelude::{FontFamily, FontOverride, FontResource, FontSource, Fonts, GenericFamily};

use super::locale::{Language, Locale};

/// Every font that there is. One serves every show.
pub struct Library {
    /// What is there from the start.
    base: Fonts,
    faces: Vec<Face>,
    /// The folder's families by the name of their file.
    own: Vec<String>,
    /// Where Debian's packages put theirs.
    folders: Vec<PathBuf>,
    installed: Mutex<Installed>,
}

/// The fonts for one text.
pub struct Choice {
    pub fonts: Fonts,
    /// Where a glyph is looked for, in this order, when the text's own family lacks it.
    pub families: FontFamily,
}

/// Characters that no font has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Each once, in the order that the text has them; the first ones of many.
    pub characters: String,
    /// The Debian package that has them. Without one, a font in the configured folder can.
    pub install: Option<&'static str>,
}

/// Why a file is left out.
#[derive(Debug, thiserror::Error)]
pub enum FontError {
    #[error("{}: {source}", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("{}: more than {most} bytes", file.display())]
    TooLarge { file: PathBuf, most: u64 },
    #[error("{}: it is no font, or a damaged one: {reason}", file.display())]
    Damaged { file: PathBuf, reason: &'static str },
}

impl Library {
    /// The embedded fonts, every font file of a folder, and what Debian's packages have once it is needed. A file of the folder
    /// that cannot serve is told in the log and left out.
    pub fn open(folder: Option<&Path>) -> Result<Library, FontError> {
        Library::open_beside(folder, DEBIANS.map(PathBuf::from).into())
    }

    /// As [`Library::open`], with the packages' files in other folders.
    pub fn open_beside(folder: Option<&Path>, folders: Vec<PathBuf>) -> Result<Library, FontError> {
        let mut library = Library {
            base: Fonts::default(),
            faces: vec![],
            own: vec![],
            folders,
            installed: Mutex::new(Installed { fonts: Fonts::default(), packages: PACKAGES.map(|_| Package::Unread) }),
        };
        for Embedded { family, generic, bytes } in EMBEDDED {
            let name = FontOverride { family_name: Some(family.into()), ..FontOverride::default() };
            let mut font = FontResource::new(FontSource::from_static(bytes)).override_info(name);
            if let Some(generic) = generic {
                font = font.generic_family(generic);
            }
            library.base.register(font).expect("what is embedded was made by subset.sh");
            library.faces.push(Face { bytes: Arc::new(bytes), index: 0 });
        }
        let files = folder.map(font_files).transpose()?.unwrap_or_default();
        if let Some(beyond) = files.get(MOST_FILES) {
            tracing::warn!(file = %beyond.display(), "fonts from here on are left out: {MOST_FILES} are read");
        }
        let mut room = MOST_BYTES;
        for file in files.iter().take(MOST_FILES) {
            match add(&mut library.base, file, room.min(MOST_FILE_BYTES)) {
                Ok(added) => {
                    room -= added.bytes;
                    library.own.extend(added.families);
                    library.faces.extend(added.faces);
                }
                Err(error) => tracing::warn!("font left out: {error}"),
            }
        }
        library.own.dedup();
        library.installed().fonts = library.base.clone();
        Ok(library)
    }

    /// What to paint a text with. Reads a package's fonts the first time that one is needed: tens of milliseconds.
    pub fn choose(&self, text: &str, locale: Locale) -> Choice {
        let reading = self.read(text);
        let families = |packages| FontFamily::from_names(self.families(text, locale, packages));
        if reading.packages == PACKAGES.map(|_| false) {
            return Choice { fonts: self.base.clone(), families: families(reading.packages) };
        }
        Choice { fonts: self.installed().fonts.clone(), families: families(reading.packages) }
    }

    /// The characters of a text that no font has, by what would bring them in. Reads fonts as [`Library::choose`] does, so that
    /// a text that was asked about is painted sooner.
    pub fn missing(&self, text: &str) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = vec![];
        for (character, install) in self.read(text).missing {
            match gaps.iter_mut().find(|gap| gap.install == install) {
                Some(gap) if gap.characters.contains(character) || gap.characters.len() > MOST_NAMED => {}
                Some(gap) => gap.characters.push(character),
                None => gaps.push(Gap { characters: character.into(), install }),
            }
        }
        gaps
    }

    /// Which packages a text needs, and what is in none of them.
    fn read(&self, text: &str) -> Reading {
        let mut reading = Reading { packages: PACKAGES.map(|_| false), missing: vec![] };
        let base = Coverage::of(&self.faces);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let styled = matches!(characters.peek(), Some(&EMOJI_STYLE | &KEYCAP));
            if is_silent(character) || (!styled && (character.is_ascii() || base.has(character))) {
                continue;
            }
            let mut installed = self.installed();
            let mut lacking = None;
            let found = PACKAGES.iter().enumerate().find(|(index, package)| {
                if !((package.wanted)(character) || (styled && package.emoji)) {
                    return false;
                }
                let has =
                    installed.faces(*index, &self.folders).is_some_and(|faces| Coverage::of(faces).has(character));
                if !has && !installed.is_there(*index) {
                    lacking = lacking.or(Some(package.name));
                }
                has
            });
            match found {
                Some((index, _)) => reading.packages[index] = true,
                // Without its colours, but there.
                None if base.has(character) => {}
                None => reading.missing.push((character, lacking)),
            }
        }
        reading
    }

    /// The order in which families are asked for a glyph.
    fn families(&self, text: &str, locale: Locale, packages: [bool; PACKAGES.len()]) -> Vec<String> {
        let mut names: Vec<String> = vec![SANS.into()];
        names.extend(self.own.iter().cloned());
        names.extend(OTHER_SCRIPTS.map(String::from));
        for (package, _) in PACKAGES.iter().zip(packages).filter(|(_, wanted)| *wanted) {
            match package.emoji {
                true => names.push(EMOJI.into()),
                false => names.extend(han(text, locale).map(|place| format!("Noto Sans CJK {place}"))),
            }
        }
        names
    }

    fn installed(&self) -> MutexGuard<'_, Installed> {
        // Fonts are registered whole or not at all: a panic elsewhere leaves nothing half-done.
        self.installed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of looking at a text's characters.
struct Reading {
    packages: [bool; PACKAGES.len()],
    /// With the package that might have it, where that is not installed.
    missing: Vec<(char, Option<&'static str>)>,
}

/// The base, and the packages that were needed so far.
struct Installed {
    fonts: Fonts,
    packages: [Package; PACKAGES.len()],
}

enum Package {
    Unread,
    /// Not installed, or nothing in it can be used.
    Absent,
    Read(Vec<Face>),
}

impl Installed {
    /// The faces of a package, read now if they were not yet.
    fn faces(&mut self, index: usize, folders: &[PathBuf]) -> Option<&[Face]> {
        if matches!(self.packages[index], Package::Unread) {
            self.packages[index] = Package::Absent;
            let mut faces = vec![];
            for name in PACKAGES[index].files {
                let Some(file) = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()) else {
                    continue;
                };
                match add(&mut self.fonts, &file, MOST_FILE_BYTES) {
                    Ok(added) => faces.extend(added.faces),
                    Err(error) => tracing::warn!("font left out: {error}"),
                }
            }
            if !faces.is_empty() {
                tracing::info!(package = PACKAGES[index].name, "its fonts are read");
                self.packages[index] = Package::Read(faces);
            }
        }
        match &self.packages[index] {
            Package::Read(faces) => Some(faces),
            _ => None,
        }
    }

    fn is_there(&self, index: usize) -> bool {
        matches!(self.packages[index], Package::Read(_))
    }
}

/// One face of a font file, to ask for its characters.
struct Face {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    index: u32,
}

/// The characters of some faces.
struct Coverage<'a>(Vec<skrifa::charmap::Charmap<'a>>);

impl Coverage<'_> {
    fn of(faces: &[Face]) -> Coverage<'_> {
        let fonts = faces.iter().filter_map(|face| FontRef::from_index((*face.bytes).as_ref(), face.index).ok());
        Coverage(fonts.map(|font| font.charmap()).collect())
    }

    fn has(&self, character: char) -> bool {
        self.0.iter().any(|map| map.map(character).is_some_and(|glyph| glyph != GlyphId::NOTDEF))
    }
}

/// What a file brought in.
struct Added {
    families: Vec<String>,
    faces: Vec<Face>,
    bytes: u64,
}

/// Reads a file of at most `most` bytes and registers its faces.
fn add(fonts: &mut Fonts, file: &Path, most: u64) -> Result<Added, FontError> {
    let unreadable = |source| FontError::Unreadable { file: file.to_owned(), source };
    let damaged = |reason| FontError::Damaged { file: file.to_owned(), reason };
    let mut bytes = vec![];
    // One byte more than may be, so that what is longer shows; a file that grows meanwhile does not pass either.
    File::open(file).map_err(unreadable)?.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(FontError::TooLarge { file: file.to_owned(), most });
    }
    check(&bytes).map_err(damaged)?;
    let length = bytes.len() as u64;
    let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes);
    let families = fonts
        .register(FontResource::new(FontSource::from_shared(bytes.clone())))
        .map_err(|_| damaged("its format is not read here"))?;
    if families.is_empty() {
        return Err(damaged("no face in it has a name"));
    }
    let face = |index| Face { bytes: bytes.clone(), index };
    Ok(Added {
        faces: families.iter().map(|family| family.faces.first().map_or(0, |first| first.index)).map(face).collect(),
        families: families.into_iter().map(|family| family.name).collect(),
        bytes: length,
    })
}

/// Whether the tables of every face lie in the file, and characters lead to glyphs: a file that is cut short paints nothing.
fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let file = FileRef::new(bytes).map_err(|_| "its header does not read")?;
    let mut faces = 0;
    for font in file.fonts() {
        let font = font.map_err(|_| "a face in it does not read")?;
        faces += 1;
        if faces > MOST_FACES {
            return Err("it has too many faces");
        }
        let whole = font.table_directory().table_records().iter().all(|table| {
            let end = u64::from(table.offset()) + u64::from(table.length());
            end <= bytes.len() as u64
        });
        if !whole {
            return Err("it is cut short");
        }
        if !font.charmap().has_map() {
            return Err("it maps no characters");
        }
    }
    if faces == 0 { Err("it has no face") } else { Ok(()) }
}

fn font_files(folder: &Path) -> Result<Vec<PathBuf>, FontError> {
    let unreadable = |source| FontError::Unreadable { file: folder.to_owned(), source };
    let mut files = vec![];
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if path.is_file() && ["ttf", "otf", "ttc"].iter().any(|known| extension == *known) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whose forms of the characters that China, Japan and Korea share, in order. A show in another language tells by the text:
/// kana are Japanese, hangul is Korean.
fn han(text: &str, locale: Locale) -> [&'static str; 5] {
    let has = |range: std::ops::RangeInclusive<char>| text.chars().any(|character| range.contains(&character));
    match locale.language() {
        Language::SimplifiedChinese => ["SC", "TC", "JP", "KR", "HK"],
        Language::TraditionalChinese if locale.is_of_hong_kong() => ["HK", "TC", "SC", "JP", "KR"],
        Language::TraditionalChinese => ["TC", "HK", "SC", "JP", "KR"],
        Language::Japanese => ["JP", "SC", "TC", "KR", "HK"],
        Language::Korean => ["KR", "JP", "SC", "TC", "HK"],
        _ if has('\u{3041}'..='\u{30FF}') => ["JP", "SC", "TC", "KR", "HK"],
        _ if has('\u{AC00}'..='\u{D7AF}') => ["KR", "JP", "SC", "TC", "HK"],
        _ => ["SC", "TC", "JP", "KR", "HK"],
    }
}

/// Whether a character has no look of its own: controls, spaces, joiners, bidi controls, variation selectors, tags
/// (Unicode's Default_Ignorable_Code_Point and White_Space).
fn is_silent(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(character,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// Where Chinese, Japanese and Korean are written, and the symbols that their fonts have besides.
fn is_east_asian(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{11FF}' | '\u{2100}'..='\u{2BFF}' | '\u{2E80}'..='\u{9FFF}' | '\u{A960}'..='\u{A97F}'
        | '\u{AC00}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}' | '\u{FE10}'..='\u{FE1F}' | '\u{FE30}'..='\u{FE4F}'
        | '\u{FF00}'..='\u{FFEF}' | '\u{1B000}'..='\u{1B2FF}' | '\u{1F100}'..='\u{1F2FF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Where emoji lie; not each of these is one.
fn is_emoji(character: char) -> bool {
    matches!(character,
        '\u{203C}' | '\u{2049}' | '\u{20E3}' | '\u{2122}' | '\u{2139}' | '\u{2194}'..='\u{21AA}' | '\u{231A}'..='\u{23FF}'
        | '\u{24C2}' | '\u{25AA}'..='\u{25FE}' | '\u{2600}'..='\u{27BF}' | '\u{2934}'..='\u{2935}' | '\u{2B05}'..='\u{2B55}'
        | '\u{3030}' | '\u{303D}' | '\u{3297}' | '\u{3299}' | '\u{1F000}'..='\u{1FAFF}')
}

/// Asks for the emoji of a character that is also text.
const EMOJI_STYLE: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';

/// A package of Debian with fonts for more than a shop's own script.
struct Installable {
    name: &'static str,
    files: &'static [&'static str],
    wanted: fn(char) -> bool,
    emoji: bool,
}

/// A character that several want is taken from the first that has it.
const PACKAGES: [Installable; 2] = [
    Installable { name: "fonts-noto-color-emoji", files: &["NotoColorEmoji.ttf"], wanted: is_emoji, emoji: true },
    Installable {
        name: "fonts-noto-cjk",
        files: &["NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"],
        wanted: is_east_asian,
        emoji: false,
    },
];
const DEBIANS: [&str; 2] = ["/usr/share/fonts/truetype/noto", "/usr/share/fonts/opentype/noto"];

struct Embedded {
    family: &'static str,
    generic: Option<GenericFamily>,
    bytes: &'static [u8],
}

const fn embedded(family: &'static str, generic: Option<GenericFamily>, bytes: &'static [u8]) -> Embedded {
    Embedded { family, generic, bytes }
}

const SANS: &str = "Noto Sans";
const OTHER_SCRIPTS: [&str; 3] = ["Noto Sans Thai", "Noto Sans Hebrew", "Noto Sans Arabic"];
const EMOJI: &str = "Noto Color Emoji";
#[rustfmt::skip]
const EMBEDDED: [Embedded; 11] = [
    embedded(SANS, Some(GenericFamily::SANS_SERIF), include_bytes!("fonts/NotoSans-Regular.ttf")),
    embedded(SANS, Some(GenericFamily::SANS_SERIF), include_bytes!("fonts/NotoSans-Bold.ttf")),
    embedded("Noto Sans Condensed", None, include_bytes!("fonts/NotoSans-CondensedBlack.ttf")),
    embedded("Noto Serif", Some(GenericFamily::SERIF), include_bytes!("fonts/NotoSerif-Regular.ttf")),
    embedded("Noto Serif", Some(GenericFamily::SERIF), include_bytes!("fonts/NotoSerif-Bold.ttf")),
    embedded(OTHER_SCRIPTS[0], None, include_bytes!("fonts/NotoSansThai-Regular.ttf")),
    embedded(OTHER_SCRIPTS[0], None, include_bytes!("fonts/NotoSansThai-Bold.ttf")),
    embedded(OTHER_SCRIPTS[1], None, include_bytes!("fonts/NotoSansHebrew-Regular.ttf")),
    embedded(OTHER_SCRIPTS[1], None, include_bytes!("fonts/NotoSansHebrew-Bold.ttf")),
    embedded(OTHER_SCRIPTS[2], None, include_bytes!("fonts/NotoSansArabic-Regular.ttf")),
    embedded(OTHER_SCRIPTS[2], None, include_bytes!("fonts/NotoSansArabic-Bold.ttf")),
];

/// Files of the folder that are read.
const MOST_FILES: usize = 64;
/// Faces in one file; Debian's largest has ten.
const MOST_FACES: usize = 32;
/// Bytes of one file; Debian's largest has 20 million.
const MOST_FILE_BYTES: u64 = 32 << 20;
/// Bytes of the folder's files together.
const MOST_BYTES: u64 = 128 << 20;
/// Bytes of characters that are named.
const MOST_NAMED: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded_only() -> Library {
        Library::open_beside(None, vec![]).unwrap()
    }

    /// Debian's fonts where they are installed; tests of other scripts have nothing to show without them.
    fn debian() -> Option<Library> {
        let there = |file: &&str| DEBIANS.iter().any(|folder| Path::new(folder).join(file).is_file());
        let all = PACKAGES.iter().flat_map(|package| package.files).all(there);
        assert!(all || std::env::var_os("CI").is_none(), "install fonts-noto-cjk and fonts-noto-color-emoji");
        all.then(|| Library::open(None).unwrap())
    }

    #[test]
    fn most_languages_need_no_package() {
        let library = embedded_only();
        for text in [
            "Nước hoa hồng Ổ Ỡ Ặ 249.000 ₫",
            "Größe 24,90 € – „fein“",
            "¿Cuánto? ¡Ñandú! L’été, œuvre 24,90 €",
            "ลิปสติกกุหลาบ ที่นี่ ฿249.00",
            "أحمر شفاه وردي 1.500 د.ك، ٣",
            "שָׁלוֹם 24.90 ₪",
            "R$ 24,90 Rp 24.900 ₩ ¥ £ ₺",
        ] {
            assert_eq!(library.missing(text), [], "{text}");
            let names = library.families(text, Locale::ENGLISH, library.read(text).packages);
            assert!(!names.iter().any(|name| name.contains("CJK") || name == EMOJI), "{names:?}");
        }
    }

    #[test]
    fn what_is_missing_is_told_with_the_package_that_has_it() {
        let gaps = embedded_only().missing("限时 Rose 限 👩\u{200D}🍳 ❤\u{FE0F} अ\u{2068}x\u{2069}");
        let told: Vec<_> = gaps.iter().map(|gap| (&*gap.characters, gap.install)).collect();
        assert_eq!(told, [("限时", Some("fonts-noto-cjk")), ("👩🍳❤", Some("fonts-noto-color-emoji")), ("अ", None)]);
        let endless: String = ('\u{4E00}'..'\u{9000}').collect();
        assert!(embedded_only().missing(&endless)[0].characters.len() < MOST_NAMED + 8);
    }

    #[test]
    fn packages_bring_in_what_is_missing() {
        let Some(library) = debian() else { return };
        for text in [
            "限时特价 骨 返 繁體",
            "口紅 ルージュ",
            "립스틱 한정",
            "👩\u{200D}🍳🇻🇳👍🏽❤\u{FE0F} 1\u{FE0F}\u{20E3} ★ ♥",
            "￥1,200",
        ] {
            assert_eq!(library.missing(text), [], "{text}");
        }
        // A script that no package here is for.
        assert_eq!(library.missing("अ")[0].install, None);
    }

    #[test]
    fn a_texts_fonts_do_not_follow_from_what_was_read_before() {
        let Some(library) = debian() else { return };
        let names =
            |text: &str, tag: &str| library.families(text, Locale::parse(tag).unwrap(), library.read(text).packages);
        let before = names("❤ ok", "en");
        library.missing("限时特价");
        assert_eq!(names("❤ ok", "en"), before);
        assert_eq!(names("Rose", "en"), [SANS, "Noto Sans Thai", "Noto Sans Hebrew", "Noto Sans Arabic"]);
        for (text, tag, first) in [
            ("骨", "zh-Hans", "SC"),
            ("骨", "zh-TW", "TC"),
            ("骨", "zh-HK", "HK"),
            ("骨", "ja", "JP"),
            ("骨", "vi", "SC"),
            ("お茶", "vi", "JP"),
            ("녹차", "en", "KR"),
        ] {
            assert_eq!(names(text, tag)[4], format!("Noto Sans CJK {first}"), "{text} {tag}");
        }
    }

    #[test]
    fn a_damaged_or_huge_file_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let serif = EMBEDDED[3].bytes;
        put("good.ttf", serif);
        put("cut.ttf", &serif[..serif.len() / 2]);
        put("text.otf", b"no font at all");
        put("empty.ttc", b"");
        File::create(folder.path().join("huge.ttf")).unwrap().set_len(MOST_FILE_BYTES + 1).unwrap();
        fs::create_dir(folder.path().join("folder.ttf")).unwrap();
        let library = Library::open_beside(Some(folder.path()), vec![folder.path().into()]).unwrap();
        assert_eq!(library.own, ["Noto Serif"]);
        let refused = |name: &str| {
            add(&mut Fonts::default(), &folder.path().join(name), MOST_FILE_BYTES).err().unwrap().to_string()
        };
        assert!(refused("cut.ttf").contains("cut short"), "{}", refused("cut.ttf"));
        assert!(refused("huge.ttf").contains("more than 33554432 bytes"));
        assert!(refused("text.otf").contains("text.otf: it is no font"));
        // A package's file that is damaged is as good as none.
        put("NotoColorEmoji.ttf", &serif[..999]);
        assert_eq!(library.missing("🍳")[0].install, Some("fonts-noto-color-emoji"));
        assert!(Library::open(Some(Path::new("/nowhere"))).is_err());
    }
}
