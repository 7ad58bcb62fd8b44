//! One target's run: input after input, watched.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::mutate::Chance;

/// More processor time than any input may take, and more time: other programs may leave us little of the one.
pub const PATIENCE: Duration = Duration::from_secs(10);
const LONG_PATIENCE: Duration = Duration::from_secs(300);
/// By how much memory may have grown between the first tenth of a run and its end, in KiB: what is in use, and what the process
/// holds. Of the latter the allocator keeps some in splinters, after pictures of every size.
const GROWTH: Memory = Memory { used: 8 * 1024, held: 32 * 1024 };
/// How many inputs follow one another before whatever remembers them is made anew; see [`begins_anew`].
const SPELL: u64 = 32;

/// What the target is told of itself while it runs.
pub struct Watch(Arc<Mutex<Watched>>);

struct Watched {
    name: &'static str,
    seed: u64,
    index: u64,
    since: Option<(Instant, Duration)>,
    input: Vec<u8>,
    /// Says which input was under way, should the process be killed by it.
    place: File,
}

impl Watch {
    /// Says what is going to be handed on now.
    pub fn about(&self, input: &[u8]) {
        let mut watched = self.watched();
        watched.input.clear();
        watched.input.extend_from_slice(input);
    }

    fn begin(&self, index: u64) {
        let mut watched = self.watched();
        (watched.index, watched.since) = (index, Some((Instant::now(), processor_time())));
        let line = format!("{} seed {} input {:>20}\n", watched.name, watched.seed, index);
        watched.place.write_all_at(line.as_bytes(), 0).unwrap();
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Watched {
    /// Saves the input under way and says how to have it again.
    fn save(&self, what: &str) -> String {
        let path = folder().join(format!("fuzz-{}-{}-{}.bin", self.name, self.seed, self.index));
        std::fs::write(&path, &self.input).unwrap();
        let Watched { name, seed, index, .. } = self;
        format!(
            "{name}: {what} at input {index} of seed {seed}, saved as {}; to have it again:\n\
             HAWKER_FUZZ_SEED={seed} HAWKER_FUZZ_FROM={} HAWKER_FUZZ_INPUTS={SPELL} cargo test --test fuzz {name}",
            path.display(),
            index / SPELL * SPELL,
        )
    }
}

/// Whether a target that remembers earlier inputs has to forget them before this one, so that a failure needs no more of them.
pub fn begins_anew(index: u64) -> bool {
    index.is_multiple_of(SPELL)
}

/// Waits until no other target runs, for memory is the whole process's. To be held from before the corpus is made.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `one` for as many inputs as were asked for, `short` when nobody asked. It gets the input's index and its chance.
pub fn run(name: &'static str, short: u64, mut one: impl FnMut(u64, &mut Chance, &Watch)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let inputs = number("HAWKER_FUZZ_INPUTS").unwrap_or(short);
    let seed = number("HAWKER_FUZZ_SEED").unwrap_or(1);
    let first = number("HAWKER_FUZZ_FROM").unwrap_or(0);

    let running = folder().join(format!("fuzz-{name}-{}.running", std::process::id()));
    let place = File::create(&running).unwrap();
    let watched = Watched { name, seed, index: 0, since: None, input: Vec::new(), place };
    let watch = Watch(Arc::new(Mutex::new(watched)));
    let watchdog = Watchdog::over(&watch);
    let (began, mut early) = (Instant::now(), None);
    for done in 0..inputs {
        let index = first + done;
        watch.begin(index);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| one(index, &mut Chance::of(seed, index), &watch))) {
            eprintln!("{}", watch.watched().save("a panic"));
            resume_unwind(panic);
        }
        if done > 0 && done % (inputs / 10).max(1) == 0 {
            let memory = Memory::now();
            early.get_or_insert(memory);
            println!("{name}: {done} inputs, {:.1} s, {memory}", began.elapsed().as_secs_f64());
        }
    }
    let took = began.elapsed().as_secs_f64();
    drop(one);
    drop(watchdog);
    let (early, late) = (early.unwrap_or_else(Memory::now), Memory::now());
    println!("{name}: seed {seed}, {inputs} inputs in {took:.1} s; after a tenth {early}, at the end {late}");
    let grown = late.used > early.used + GROWTH.used || late.held > early.held + GROWTH.held;
    assert!(!grown, "{name}: memory grew from {early} to {late}");
    std::fs::remove_file(running).unwrap();
}

/// Ends the process when an input takes too long: nothing else stops a loop.
struct Watchdog(std::sync::mpsc::Sender<()>);

impl Watchdog {
    fn over(watch: &Watch) -> Watchdog {
        let (sender, stopped) = std::sync::mpsc::channel();
        let watched = Watch(watch.0.clone());
        std::thread::spawn(move || {
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(Duration::from_secs(1)) {
                let watched = watched.watched();
                let Some((began, used)) = watched.since else { continue };
                if processor_time().saturating_sub(used) > PATIENCE || began.elapsed() > LONG_PATIENCE {
                    eprintln!("{}", watched.save("no end"));
                    std::process::abort();
                }
            }
        });
        Watchdog(sender)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// What this process has used of the processors so far.
fn processor_time() -> Duration {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the one struct that it is given.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used) };
    assert_eq!(told, 0, "Linux tells the processor time");
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// This process's memory in KiB.
#[derive(Clone, Copy)]
struct Memory {
    /// Given out by the allocator and not given back.
    used: u64,
    /// RssAnon of proc(5), once the allocator has returned what it can.
    held: u64,
}

impl Memory {
    fn now() -> Memory {
        // SAFETY: glibc's, and safe to call at any time.
        let allocator = unsafe {
            libc::malloc_trim(0);
            libc::mallinfo2()
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let held = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let held = held.trim().trim_end_matches(" kB").parse().unwrap();
        Memory { used: (allocator.uordblks + allocator.hblkhd) as u64 / 1024, held }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} KiB in use, {} held", self.used, self.held)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned()
}
