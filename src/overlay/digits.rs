//! What a countdown reads at a moment: a face of fixed cells, and the digit in each of them.

use std::time::Duration;

use crate::media::MediaTime;

/// The remaining time as a clock shows it. Rounded up, so that zero appears exactly when the time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    face: Face,
    /// One digit for each cell of the face, from the left.
    digits: [u8; Face::MOST_CELLS],
}

impl Reading {
    /// What a countdown to `ends` reads at `at`.
    pub fn at(ends: MediaTime, at: MediaTime) -> Reading {
        let left = ends.ticks().saturating_sub(at.ticks()).max(0);
        let tenths = ceil_div(left, TICKS_PER_TENTH);
        let face = Face::of_tenths(tenths);
        let fields = match face {
            Face::Minutes | Face::TenMinutes => [tenths / 600, tenths / 10 % 60, tenths % 10],
            Face::Hours | Face::HundredHours => {
                let seconds = ceil_div(left, 10 * TICKS_PER_TENTH).min(MOST_SECONDS);
                [seconds / 3600, seconds / 60 % 60, seconds % 60]
            }
        };
        let mut digits = [0; Face::MOST_CELLS];
        let mut cell = face.cells();
        for (mut field, width) in fields.into_iter().rev().zip(face.pattern().rsplit(is_mark).map(str::len)) {
            for _ in 0..width {
                cell -= 1;
                digits[cell] = (field % 10) as u8;
                field /= 10;
            }
        }
        Reading { face, digits }
    }

    /// The digit that a cell showed before it came to what it reads at `at`, and since when it has. Absent for digits that change
    /// more than once a second, and where another face was before.
    pub fn turned(ends: MediaTime, at: MediaTime, cell: usize) -> Option<(u8, Duration)> {
        let left = ends.ticks().saturating_sub(at.ticks()).max(0);
        let face = Reading::at(ends, at).face;
        let step = face.step_of(cell)?;
        let unit = face.unit();
        // A cell came to its digit when its step was whole but for one unit: rounding up shows the next one from there.
        let came = (ceil_div(left, unit) / step * step + step - 1) * unit;
        let since = u64::try_from(came - left).ok()?;
        let before = Reading::at(ends, MediaTime::from_ticks(ends.ticks() - came - 1));
        (before.face == face).then(|| (before.digits[cell], Duration::from_nanos(since * 100_000 / 9)))
    }

    pub fn face(&self) -> Face {
        self.face
    }

    /// One digit for each cell of the face, from the left.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..self.face.cells()]
    }

    /// As it is read: `0:29.9`.
    pub fn text(&self) -> String {
        let mut digits = self.digits.iter();
        let place = |c| if is_mark(c) { c } else { char::from(b'0' + digits.next().copied().unwrap_or(0)) };
        self.face.pattern().chars().map(place).collect()
    }
}

/// An arrangement of digit cells. Which one shows depends on the remaining time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Face {
    /// Below ten minutes.
    Minutes,
    /// Below an hour.
    TenMinutes,
    /// Below a hundred hours.
    Hours,
    /// Up to 999:59:59, which is also what a longer time reads.
    HundredHours,
}

impl Face {
    pub const ALL: [Face; 4] = [Face::Minutes, Face::TenMinutes, Face::Hours, Face::HundredHours];
    pub const MOST_CELLS: usize = 7;

    /// A `0` for each digit cell, and the marks between them.
    pub fn pattern(self) -> &'static str {
        match self {
            Face::Minutes => "0:00.0",
            Face::TenMinutes => "00:00.0",
            Face::Hours => "00:00:00",
            Face::HundredHours => "000:00:00",
        }
    }

    /// How many digits it shows.
    pub fn cells(self) -> usize {
        self.pattern().chars().filter(|c| !is_mark(*c)).count()
    }

    /// The faces that a countdown to `ends` shows between two moments; without a beginning, all of them.
    pub fn between(ends: MediaTime, from: Option<MediaTime>, until: Option<MediaTime>) -> impl Iterator<Item = Face> {
        let longest = from.map_or(Face::HundredHours, |from| Reading::at(ends, from).face);
        let shortest = until.map_or(Face::Minutes, |until| Reading::at(ends, until).face);
        Face::ALL.into_iter().filter(move |face| (shortest..=longest).contains(face))
    }

    /// The ticks that its last digit counts.
    fn unit(self) -> i64 {
        match self {
            Face::Minutes | Face::TenMinutes => TICKS_PER_TENTH,
            Face::Hours | Face::HundredHours => 10 * TICKS_PER_TENTH,
        }
    }

    /// How many units a cell's digit stands for, where that is a second or more.
    fn step_of(self, cell: usize) -> Option<i64> {
        let steps: &[i64] = match self {
            Face::Minutes => &[600, 100, 10, 0],
            Face::TenMinutes => &[6000, 600, 100, 10, 0],
            Face::Hours => &[36_000, 3600, 600, 60, 10, 1],
            Face::HundredHours => &[360_000, 36_000, 3600, 600, 60, 10, 1],
        };
        steps.get(cell).copied().filter(|step| *step > 0)
    }

    fn of_tenths(tenths: i64) -> Face {
        match tenths {
            ..6_000 => Face::Minutes,
            6_000..36_000 => Face::TenMinutes,
            _ if ceil_div(tenths, 10) < 360_000 => Face::Hours,
            _ => Face::HundredHours,
        }
    }
}

fn is_mark(c: char) -> bool {
    c != '0'
}

fn ceil_div(n: i64, by: i64) -> i64 {
    n / by + i64::from(n % by > 0)
}

const TICKS_PER_TENTH: i64 = crate::media::time::TICKS_PER_SECOND / 10;
const MOST_SECONDS: i64 = 999 * 3600 + 59 * 60 + 59;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_knows_what_it_showed_before_and_since_when() {
        let ends = MediaTime::from_ticks(90_000 * 100_000);
        // Every instant of the last minutes, in steps that meet no boundary twice alike.
        for left in (0..90_000 * 700).step_by(1_237) {
            let at = MediaTime::from_ticks(ends.ticks() - left);
            let now = Reading::at(ends, at);
            for cell in 0..now.face().cells() {
                let Some((before, since)) = Reading::turned(ends, at, cell) else { continue };
                let ticks = (since.as_secs_f64() * 90_000.0).round() as i64;
                let came = Reading::at(ends, at - since);
                assert_eq!(came.digits()[cell], now.digits()[cell], "{} {cell}", now.text());
                let earlier = Reading::at(ends, MediaTime::from_ticks(at.ticks() - ticks - 2));
                assert_eq!(earlier.digits()[cell], before, "{} {cell}", now.text());
                assert_ne!(before, now.digits()[cell]);
            }
        }
        assert_eq!(Reading::turned(ends, MediaTime::ZERO, 99), None);
    }

    const SECOND: i64 = crate::media::time::TICKS_PER_SECOND;

    fn reads(left_ticks: i64) -> String {
        let ends = MediaTime::from_ticks(1_000_000_007);
        Reading::at(ends, MediaTime::from_ticks(ends.ticks() - left_ticks)).text()
    }

    #[test]
    fn zero_reads_at_the_end_and_not_one_tick_before() {
        assert_eq!(reads(1), "0:00.1");
        assert_eq!(reads(0), "0:00.0");
        assert_eq!(reads(-1), "0:00.0");
        assert_eq!(reads(-SECOND * 3600), "0:00.0");
    }

    #[test]
    fn the_remaining_time_is_rounded_up_to_tenths() {
        assert_eq!(reads(SECOND * 30), "0:30.0");
        assert_eq!(reads(SECOND * 30 - 1), "0:30.0");
        assert_eq!(reads(SECOND * 30 - SECOND / 10), "0:29.9");
        assert_eq!(reads(SECOND * 30 + 1), "0:30.1");
    }

    #[test]
    fn faces_follow_one_another_without_a_gap() {
        assert_eq!(reads(SECOND * 600 - SECOND / 10), "9:59.9");
        assert_eq!(reads(SECOND * 600 - 1), "10:00.0");
        assert_eq!(reads(SECOND * 3600 - SECOND / 10), "59:59.9");
        assert_eq!(reads(SECOND * 3600 - 1), "01:00:00");
        assert_eq!(reads(SECOND * 3600 + 1), "01:00:01");
        assert_eq!(reads(SECOND * 360_000 - SECOND), "99:59:59");
        assert_eq!(reads(SECOND * 360_000 - SECOND + 1), "100:00:00");
        assert_eq!(reads(SECOND * 360_000), "100:00:00");
        assert_eq!(reads(i64::MAX / 2), "999:59:59");
    }

    #[test]
    fn only_the_faces_of_a_window_are_needed() {
        let ends = MediaTime::from_ticks(SECOND * 10_000);
        let at = |left: i64| Some(MediaTime::from_ticks(ends.ticks() - left * SECOND));
        assert_eq!(Face::between(ends, at(60), Some(ends)).collect::<Vec<_>>(), [Face::Minutes]);
        assert_eq!(Face::between(ends, at(4000), at(1000)).collect::<Vec<_>>(), [Face::TenMinutes, Face::Hours]);
        assert_eq!(Face::between(ends, None, None).collect::<Vec<_>>(), Face::ALL);
    }
}
