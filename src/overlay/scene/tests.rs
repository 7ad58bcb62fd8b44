use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;

use super::*;
use crate::media::{Colour, Pool, Resolution};
use crate::overlay::compose::cpu;
use crate::overlay::motion::{ChangeKind, Ease, EmphasisKind, Side, TransitionKind};
use crate::overlay::raster::{Moves, Painting};

const SIZE: Resolution = Resolution::new(160, 90);
const CANVAS: Canvas = Canvas { resolution: SIZE, colour: Colour::BT709 };
const AREA: Rect = Rect { x: 20, y: 50, w: 60, h: 24 };

fn second(seconds: f64) -> MediaTime {
    MediaTime::from_ticks((seconds * 90_000.0) as i64)
}

fn plain(shade: u8, area: Rect) -> Raster {
    let rgba = [shade, shade, shade, 255].repeat(area.w as usize * area.h as usize);
    Raster::of(&Painting { canvas: Rect::of(SIZE), area, rgba }, CANVAS.colour, area, &[], Moves::ANY)
}

/// A plain box of one shade.
fn painted(shade: u8, area: Rect) -> Arc<Painted> {
    Arc::new(Painted { base: plain(shade, area), area, hits: vec![area], ..Painted::default() })
}

fn layer(id: &str, motion: Motion, painted: Arc<Painted>) -> Layer {
    let phases = vec![Phase { from: None, until: None, look: Look::Still(painted) }];
    Layer { id: id.into(), z: 0, hits: vec![id.into()], ground: None, phases, motion }
}

fn scene(rev: u64, layers: Vec<Layer>) -> Scene {
    Scene::new(rev, CANVAS, layers)
}

fn moving() -> Motion {
    let slide = Transition { kind: TransitionKind::Slide, from: Side::Left, ms: 400, ease: Ease::Linear };
    Motion { enter: slide, exit: slide, change: Change { kind: ChangeKind::Fade, ms: 300 }, ..Motion::NONE }
}

/// Luma of a black picture with the scene on it.
fn luma(scene: &Scene, at: f64) -> Vec<u8> {
    let mut picture = Pool::new(SIZE).take(CANVAS.colour);
    picture.fill([16, 128, 128]);
    cpu::draw(&scene.frame(second(at), Ground::Live), &mut picture, &mut cpu::Scratch::default());
    let (samples, stride) = picture.plane_mut(0);
    samples.chunks(stride).flat_map(|row| row[..SIZE.width as usize].to_vec()).collect()
}

/// The columns that have anything on them, as first and last.
fn columns(luma: &[u8]) -> Option<(usize, usize)> {
    let bright = |x: &usize| (0..SIZE.height as usize).any(|y| luma[y * SIZE.width as usize + x] > 20);
    Some(((0..160).find(bright)?, (0..160).rev().find(bright)?))
}

#[test]
fn a_layer_comes_in_from_the_moment_that_its_scene_takes_over() {
    let scene = scene(2, vec![layer("card", moving(), painted(255, AREA))]);
    let armed = scene.following(Some(&Scene::empty(1, CANVAS)), second(10.0));
    assert_eq!(columns(&luma(&armed, 10.0)), None, "it begins out of sight");
    let half = columns(&luma(&armed, 10.2)).unwrap();
    assert!(half.0 == 0 && (35..=42).contains(&half.1), "half way: {half:?}");
    assert_eq!(columns(&luma(&armed, 10.4)), Some((20, 79)));
    // Without a scene before it, at a start of the server, it is simply there.
    assert_eq!(columns(&luma(&scene.following(None, second(10.0)), 10.0)), Some((20, 79)));
}

#[test]
fn what_a_new_scene_keeps_does_not_come_again() {
    let card = painted(255, AREA);
    let first = scene(1, vec![layer("card", moving(), card.clone())]);
    let first = first.following(Some(&Scene::empty(0, CANVAS)), second(1.0));
    let other = painted(200, Rect { x: 100, y: 10, ..AREA });
    let second_one = scene(2, vec![layer("card", moving(), card), layer("stock", moving(), other)]);
    let second_one = second_one.following(Some(&first), second(1.2));
    // In the middle of its entrance it goes on where it was.
    let card_only = |luma: &[u8]| luma.iter().filter(|v| **v == 235).count();
    assert_eq!(card_only(&luma(&first, 1.3)), card_only(&luma(&second_one, 1.3)));
}

#[test]
fn what_a_new_scene_lacks_leaves_and_is_no_target_any_more() {
    let first = scene(1, vec![layer("card", moving(), painted(255, AREA))]);
    let armed = scene(2, vec![]).following(Some(&first), second(5.0));
    assert_eq!(columns(&luma(&armed, 5.0)), Some((20, 79)));
    assert!(columns(&luma(&armed, 5.2)).unwrap().1 < 50);
    assert_eq!(columns(&luma(&armed, 5.4)), None);
    assert!(armed.hits(second(5.1)).is_empty() && !first.hits(second(5.1)).is_empty());
    // A scene that follows while it leaves lets it go on leaving, and one after that has forgotten it.
    let next = scene(3, vec![]).following(Some(&armed), second(5.1));
    assert_eq!(columns(&luma(&next, 5.2)), columns(&luma(&armed, 5.2)));
    assert!(scene(4, vec![]).following(Some(&next), second(6.0)).layers.is_empty());
}

#[test]
fn a_change_shows_the_new_look_from_its_first_frame_and_lets_the_old_one_fade() {
    let first = scene(1, vec![layer("card", moving(), painted(100, AREA))]);
    let armed = scene(2, vec![layer("card", moving(), painted(255, AREA))]).following(Some(&first), second(3.0));
    let middle = |at| luma(&armed, at)[60 * 160 + 50];
    let old = luma(&first, 3.0)[60 * 160 + 50];
    let (begin, later, end) = (middle(3.0), middle(3.15), middle(3.3));
    assert!(old < begin && begin < later && later < end && end == 235, "{old} {begin} {later} {end}");
}

#[test]
fn a_layer_whose_time_is_over_leaves_by_itself() {
    let mut timed = layer("card", moving(), painted(255, AREA));
    timed.phases[0].until = Some(second(8.0));
    timed.phases[0].from = Some(second(2.0));
    let scene = scene(1, vec![timed]);
    assert_eq!(columns(&luma(&scene, 1.9)), None);
    assert_eq!(columns(&luma(&scene, 2.0)), None, "it comes in");
    assert_eq!(columns(&luma(&scene, 2.4)), Some((20, 79)));
    assert!(columns(&luma(&scene, 8.2)).is_some_and(|(_, right)| right < 50), "it goes");
    assert_eq!(columns(&luma(&scene, 8.4)), None);
    assert!(scene.hits(second(8.1)).is_empty());
}

#[test]
fn hits_lie_where_a_layer_comes_to_rest() {
    let armed = scene(2, vec![layer("card", moving(), painted(255, AREA))]);
    let armed = armed.following(Some(&Scene::empty(1, CANVAS)), second(1.0));
    let hit = armed.hits(second(1.0)).remove(0);
    assert_eq!((hit.x, hit.y, hit.w), (20.0 / 160.0, 50.0 / 90.0, 60.0 / 160.0));
}

#[test]
fn an_emphasis_moves_a_layer_now_and_then_and_never_its_rest() {
    let emphasis = Some(Emphasis { kind: EmphasisKind::Pulse, every_ms: 2000, ms: 500 });
    let scene = scene(1, vec![layer("card", Motion { emphasis, ..Motion::NONE }, painted(255, AREA))]);
    let rest = luma(&scene, 0.0);
    assert!(luma(&scene, 1.0) == rest && luma(&scene, 2.0) == rest);
    assert!(columns(&luma(&scene, 1.75)).unwrap().0 < 20);
}

/// The same box with the four digits of a clock below ten minutes on it.
fn clock(shade: u8) -> Arc<Painted> {
    let cell = |n: u32| {
        let area = Rect { x: 24 + 10 * n, y: 56, w: 8, h: 12 };
        Cell { place: n as usize, area, digits: std::array::from_fn(|digit| plain(100 + 10 * digit as u8, area)) }
    };
    let Painted { base, area, .. } = Arc::into_inner(painted(shade, AREA)).unwrap();
    Arc::new(Painted { base, area, cells: (0..4).map(cell).collect(), ..Painted::default() })
}

fn rolling(phases: Vec<Phase>) -> Scene {
    let change = Change { kind: ChangeKind::Roll, ms: 300 };
    let layer = layer("card", Motion { change, ..Motion::NONE }, painted(60, AREA));
    scene(1, vec![Layer { phases, ..layer }])
}

fn counting(from: Option<f64>, ends: f64, painted: &Arc<Painted>) -> Phase {
    let look = Look::Clock { begins: None, ends: second(ends), faces: vec![(Face::Minutes, painted.clone())] };
    Phase { from: from.map(second), until: Some(second(ends)), look }
}

/// Which digits of a painting a frame draws.
fn digits(scene: &Scene, at: f64, of: &Painted) -> Vec<usize> {
    let frame = scene.frame(second(at), Ground::Live);
    let digit = |draw: &crate::overlay::compose::Draw<'_>| {
        of.cells.iter().find_map(|cell| cell.digits.iter().position(|digit| std::ptr::eq(digit, draw.raster)))
    };
    frame.draws().iter().filter_map(digit).collect()
}

#[test]
fn what_rolls_away_keeps_the_digits_that_it_had() {
    let (first, next, last) = (clock(60), clock(90), painted(120, AREA));
    let over = Phase { from: Some(second(4.0)), until: None, look: Look::Still(last) };
    let scene = rolling(vec![counting(None, 2.0, &first), counting(Some(2.0), 4.0, &next), over]);
    assert_eq!(digits(&scene, 1.95, &first), [0, 0, 0, 1]);
    assert_eq!((digits(&scene, 2.0, &first), digits(&scene, 2.0, &next)), (vec![0, 0, 0, 1], vec![0, 0, 2, 0]));
    assert_eq!(digits(&scene, 4.1, &next), [0, 0, 0, 1], "where no clock follows, too");
    assert!(digits(&scene, 4.4, &next).is_empty());
}

#[test]
fn what_rolls_stays_within_its_window() {
    let window = Rect { x: 40, y: 64, w: 20, h: 8 };
    let ticker = |shade| {
        let Painted { base, area, .. } = Arc::into_inner(painted(shade, AREA)).unwrap();
        let pieces = vec![plain(200, Rect { w: 100, h: 8, ..Rect::default() })];
        let strip = Some(Strip { pieces, period: 100, window });
        Arc::new(Painted { base, area, strip, ..Painted::default() })
    };
    let (old, new) = (ticker(60), ticker(90));
    let still = |from, until, painted: &Arc<Painted>| Phase { from, until, look: Look::Still(painted.clone()) };
    let at = Some(second(2.0));
    let scene = rolling(vec![still(None, at, &old), still(at, None, &new)]);
    let frame = scene.frame(second(2.02), Ground::Live);
    for painted in [&old, &new] {
        let strip = &painted.strip.as_ref().unwrap().pieces[0];
        let draw = frame.draws().iter().find(|draw| std::ptr::eq(draw.raster, strip)).unwrap();
        let gone = Rect { y: window.y.saturating_add_signed(draw.dy - window.y as i32), ..window };
        assert_eq!(draw.clip, Some(gone.within(AREA)), "{draw:?}");
    }
}

#[test]
fn a_strip_draws_the_pieces_that_its_window_shows() {
    let piece = |x| plain(200, Rect { x, w: 40, h: 8, y: 0 });
    let window = Rect { x: 40, y: 56, w: 20, h: 8 };
    let strip = Some(Strip { pieces: vec![piece(0), piece(40), piece(80)], period: 120, window });
    let ticker = Arc::new(Painted { strip, area: AREA, ..Painted::default() });
    let layer = layer("ticker", Motion { scroll: 10.0, ..Motion::NONE }, ticker.clone());
    let scene = scene(1, vec![layer]);
    let shown = |at| {
        let frame = scene.frame(second(at), Ground::Live);
        let pieces = &ticker.strip.as_ref().unwrap().pieces;
        let place = |raster: &Raster| pieces.iter().position(|piece| std::ptr::eq(piece, raster));
        frame.draws().iter().filter_map(|draw| place(draw.raster)).collect::<Vec<_>>()
    };
    assert_eq!((shown(0.5), shown(3.0), shown(5.0), shown(11.0)), (vec![0], vec![0, 1], vec![1], vec![2, 0]));
}

/// One change of the stage: which of three layers are on it, and how they look.
fn cue() -> impl Strategy<Value = (u32, Vec<(usize, u8)>)> {
    (1..60u32, proptest::collection::vec((0..3usize, 1..4u8), 0..4))
}

/// What a log of cues puts on every frame of its time.
fn replay(cues: &[(u32, Vec<(usize, u8)>)], shades: &[Arc<Painted>]) -> Vec<u64> {
    let motions = |index: usize| {
        let side = [Side::Left, Side::Top, Side::Right][index];
        let kind = [TransitionKind::Spring, TransitionKind::Wipe, TransitionKind::Scale][index];
        let enter = Transition { kind, from: side, ms: 300, ease: Ease::Out };
        let change = Change { kind: [ChangeKind::Roll, ChangeKind::Fade, ChangeKind::Cut][index], ms: 250 };
        Motion { enter, exit: enter, change, ..Motion::NONE }
    };
    let (mut armed, mut frame, mut hashes) = (Scene::empty(0, CANVAS), 0u32, vec![]);
    for (rev, (pause, shown)) in (1..).zip(cues) {
        for _ in 0..*pause {
            let mut hash = DefaultHasher::new();
            luma(&armed, f64::from(frame) / 30.0).hash(&mut hash);
            hashes.push(hash.finish());
            frame += 1;
        }
        let mut layers: Vec<Layer> = vec![];
        for (index, look) in shown {
            let id = ["card", "ticker", "stock"][*index];
            if !layers.iter().any(|layer| layer.id == id) {
                layers.push(layer(id, motions(*index), shades[*index * 3 + usize::from(*look) - 1].clone()));
            }
        }
        armed = scene(rev, layers).following(Some(&armed), second(f64::from(frame) / 30.0));
    }
    hashes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_log_of_cues_replayed_gives_the_same_frames(cues in proptest::collection::vec(cue(), 1..8)) {
        let shades = || -> Vec<Arc<Painted>> {
            (0..9u32).map(|n| painted(60 + n as u8 * 20, Rect { x: 10 + n * 7, y: 10 + n / 3 * 20, w: 50, h: 20 })).collect()
        };
        // Painted anew, as after a restart: no frame depends on what was cached.
        prop_assert_eq!(replay(&cues, &shades()), replay(&cues, &shades()));
    }

    #[test]
    fn whatever_is_asked_a_scene_stays_within_the_picture(at in -5.0..20.0f64, dx in 0..300u32, dy in 0..200u32) {
        let area = Rect { x: dx.min(158) & !1, y: dy.min(88) & !1, w: 40, h: 30 }.within(Rect::of(SIZE)).even();
        let mut timed = layer("card", moving(), painted(255, area));
        timed.phases[0].until = Some(second(6.0));
        let armed = scene(1, vec![timed]).following(Some(&Scene::empty(0, CANVAS)), second(2.0));
        // Writing beyond a plane would panic.
        luma(&armed, at);
        prop_assert!(armed.hits(second(at)).iter().all(|hit| hit.x >= 0.0 && hit.x + hit.w <= 1.0 && hit.y + hit.h <= 1.0));
    }
}
