//! Where layers lie in the device's memory: addresses by identity, the longest unused given up first.

use std::collections::{BTreeMap, HashMap};

use super::plan::Key;

/// Addresses and lengths in samples. Knows no device; its owner writes what it is told to.
pub(super) struct Atlas {
    capacity: u32,
    held: HashMap<Key, Slot>,
    /// Free stretches by where they begin; never two side by side.
    holes: BTreeMap<u32, u32>,
    frame: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    at: u32,
    len: u32,
    /// The last frame that it was used in.
    frame: u64,
}

impl Atlas {
    pub(super) fn new(capacity: u32) -> Atlas {
        Atlas { capacity, held: HashMap::new(), holes: BTreeMap::from([(0, capacity)]), frame: 0 }
    }

    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// What is used from now on is needed together.
    pub(super) fn next_frame(&mut self) {
        self.frame += 1;
    }

    /// Where samples lie, used again by this frame.
    pub(super) fn touch(&mut self, key: Key) -> Option<u32> {
        let slot = self.held.get_mut(&key)?;
        slot.frame = self.frame;
        Some(slot.at)
    }

    /// Where samples lie.
    pub(super) fn address(&self, key: Key) -> Option<u32> {
        self.held.get(&key).map(|slot| slot.at)
    }

    /// A place for new samples, to be written there, in the room of those unused the longest. `None` where what this frame uses
    /// leaves none in one piece.
    pub(super) fn place(&mut self, key: Key, len: u32) -> Option<u32> {
        loop {
            if let Some((&at, &free)) = self.holes.iter().find(|(_, free)| **free >= len) {
                self.holes.remove(&at);
                if free > len {
                    self.holes.insert(at + len, free - len);
                }
                self.held.insert(key, Slot { at, len, frame: self.frame });
                return Some(at);
            }
            let unused = self.held.iter().filter(|(_, slot)| slot.frame != self.frame);
            let (&oldest, &slot) = unused.min_by_key(|(_, slot)| slot.frame)?;
            self.held.remove(&oldest);
            self.free(slot);
        }
    }

    fn free(&mut self, Slot { mut at, mut len, .. }: Slot) {
        if let Some(behind) = self.holes.remove(&(at + len)) {
            len += behind;
        }
        if let Some((&before, &free)) = self.holes.range(..at).next_back()
            && before + free == at
        {
            self.holes.remove(&before);
            (at, len) = (before, len + free);
        }
        self.holes.insert(at, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_makes_room() {
        let mut atlas = Atlas::new(100);
        for id in 0..4 {
            atlas.next_frame();
            assert_eq!(atlas.place((id, 0), 25), Some(25 * id as u32));
        }
        atlas.next_frame();
        assert_eq!(atlas.touch((0, 0)), Some(0));
        assert_eq!(atlas.place((9, 0), 50), Some(25), "in the room of the second and third");
        assert_eq!((atlas.address((1, 0)), atlas.address((2, 0))), (None, None));
        assert_eq!((atlas.address((0, 0)), atlas.address((3, 0))), (Some(0), Some(75)));
    }

    #[test]
    fn what_a_frame_uses_is_not_given_up_for_it() {
        let mut atlas = Atlas::new(100);
        atlas.next_frame();
        assert!(atlas.place((0, 0), 60).is_some());
        assert!(atlas.place((1, 0), 60).is_none());
        assert!(atlas.address((0, 0)).is_some());
        atlas.next_frame();
        assert!(atlas.place((1, 0), 60).is_some());
    }

    #[test]
    fn freed_neighbours_grow_together() {
        let mut atlas = Atlas::new(90);
        for id in 0..3 {
            atlas.next_frame();
            atlas.place((id, 0), 30).unwrap();
        }
        atlas.next_frame();
        assert_eq!(atlas.place((7, 0), 90), Some(0));
        assert_eq!(atlas.holes.len(), 0);
    }
}
