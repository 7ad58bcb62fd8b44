//! What three layers cost a frame by each compositor: a card, a countdown and a ticker, from the call to the blended picture.

use std::time::Instant;

use hawker::media::Resolution;
use hawker::overlay::compose::gpu::trial::Trial;
use hawker::overlay::compose::{Choice, Drawn, Engine};

use crate::machine::load;

const WARM_UP: usize = 20;
const FRAMES: usize = 500;

pub fn measure(height: &str) {
    let size = if height == "720" { Resolution::new(1280, 720) } else { Resolution::new(1920, 1080) };
    let trial = Trial::new(size);
    let engines = [Engine::cpu(), Engine::open(Choice::Gpu).expect("a Vulkan adapter")];
    for engine in engines {
        let (mut compositor, list, mut picture) = (engine.compositor(), trial.list(), trial.picture());
        let mut times = Vec::with_capacity(FRAMES);
        let mut begun_cpu = 0.0;
        for frame in 0..WARM_UP + FRAMES {
            if frame == WARM_UP {
                begun_cpu = cpu_seconds();
            }
            let begun = Instant::now();
            let drawn = compositor.draw(&list, &mut picture);
            assert_eq!(drawn, if engine.kind() == "gpu" { Drawn::Gpu } else { Drawn::Cpu });
            if frame >= WARM_UP {
                times.push(begun.elapsed());
            }
        }
        let cpu = (cpu_seconds() - begun_cpu) * 1e6 / FRAMES as f64;
        times.sort();
        println!(
            "{} {}: {cpu:.0} µs CPU a frame; wall {} µs median, {} µs p99, {} µs best; {size}; load {}",
            engine.kind(),
            engine.adapter().unwrap_or(""),
            times[FRAMES / 2].as_micros(),
            times[FRAMES * 99 / 100].as_micros(),
            times[0].as_micros(),
            load()
        );
    }
}

/// Of all threads: a driver in software has its own.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
