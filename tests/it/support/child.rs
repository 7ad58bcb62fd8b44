//! A child process that never outlives its trial, with what it said kept for the one who asks why.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::patience::eventually;

/// A running program in its own process group. Dropped, it and everything that it started are killed; when the trial
/// failed, its last lines are printed.
pub struct Child {
    name: String,
    process: std::process::Child,
    said: Said,
    readers: Vec<JoinHandle<()>>,
}

/// The last lines of a child's stdout and stderr together.
type Said = Arc<Mutex<VecDeque<String>>>;

impl Child {
    /// Starts `command`; a program that is not installed is a failure that says so.
    pub fn spawn(name: &str, command: Command) -> Child {
        Child::start(name, command, Stdio::null())
    }

    /// As `spawn`, with a pipe to the program's stdin.
    pub fn spawn_fed(name: &str, command: Command) -> (Child, ChildStdin) {
        let mut child = Child::start(name, command, Stdio::piped());
        let stdin = child.process.stdin.take().expect("stdin was asked for");
        (child, stdin)
    }

    fn start(name: &str, mut command: Command, stdin: Stdio) -> Child {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let parent = std::process::id();
        // SAFETY: prctl, getppid and _exit are async-signal-safe, and nothing is allocated between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                if libc::getppid() as u32 != parent {
                    libc::_exit(1); // the parent died before it could be watched
                }
                Ok(())
            })
        };
        let program = command.get_program().to_string_lossy().into_owned();
        let mut process = command.spawn().unwrap_or_else(|error| {
            panic!("{name}: cannot run {program}: {error}. The trials need it installed; they never skip.")
        });
        let said = Said::default();
        let readers = vec![
            collect(process.stdout.take().expect("stdout was asked for"), said.clone()),
            collect(process.stderr.take().expect("stderr was asked for"), said.clone()),
        ];
        Child { name: name.to_owned(), process, said, readers }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What the program said last, oldest line first.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().expect("no panic while lines are held").iter().cloned().collect()
    }

    /// The first line that `pick` takes something from; a program that ends before it is a failure.
    pub async fn says<T>(&mut self, what: &str, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> T {
        let what = format!("{} says {what}", self.name);
        eventually(&what, limit, async || {
            let ended = self.ended();
            let found = self.said().iter().find_map(|line| pick(line));
            if let (None, Some(status)) = (&found, ended) {
                panic!("{} ended ({status}) before: {what}", self.name);
            }
            found
        })
        .await
    }

    /// How the program ended, when it has. Its last lines are then complete.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.try_wait().expect("a child can be asked after");
        if status.is_some() {
            for reader in self.readers.drain(..) {
                let _ = reader.join();
            }
        }
        status
    }

    /// Waits until the program ends by itself.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(&what, limit, async || self.ended()).await
    }

    /// Waits until the program ends by itself, without a runtime.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.process.wait().expect("a child can be waited for");
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        status
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill has no memory effects; the process is ours and not yet waited for.
        unsafe { libc::kill(self.id() as libc::pid_t, signal) };
    }

    /// SIGTERM, and how the program then ended.
    pub async fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.end(limit).await
    }

    /// SIGKILL for the program and all that it started, at once.
    pub fn kill(&mut self) -> ExitStatus {
        let family = descendants(self.id());
        // SAFETY: as in `signal`; a negative id names the process group made at the start.
        unsafe { libc::kill(-(self.id() as libc::pid_t), libc::SIGKILL) };
        for id in family {
            // SAFETY: as above.
            unsafe { libc::kill(id as libc::pid_t, libc::SIGKILL) };
        }
        self.process.wait().unwrap_or(ExitStatus::from_raw(0))
    }

    /// User and system time that the program has used so far, its own waited-for children left out.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.id()).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let ended = self.process.try_wait().ok().flatten();
        if std::thread::panicking() {
            eprintln!("--- {} ({}) said:", self.name, ended.map_or("running".to_owned(), |status| status.to_string()));
            for line in self.said() {
                eprintln!("    {line}");
            }
        }
        if ended.is_none() {
            self.kill();
        }
    }
}

/// A process's user and system time (proc(5), /proc/PID/stat, fields 14 and 15).
pub fn cpu_of(id: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // SAFETY: sysconf has no memory effects.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Some(Duration::from_millis(ticks * 1000 / per_second))
}

/// Children, grandchildren and so on, found by their parents' ids: a browser puts its own into other process groups.
fn descendants(of: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        let parent = stat.rfind(')').and_then(|at| stat[at + 2..].split(' ').nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (id, parent)));
    }
    let mut family = vec![of];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    family.split_off(1)
}

fn collect(from: impl Read + Send + 'static, said: Said) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if std::env::var_os("TRIAL_ECHO").is_some() {
                eprintln!("{line}");
            }
            let mut said = said.lock().expect("no panic while lines are held");
            if said.len() == LINES_KEPT {
                said.pop_front();
            }
            said.push_back(line);
        }
    })
}

const LINES_KEPT: usize = 400;

/// Runs a program to its end and gives its stdout; panics with its stderr when it fails or takes longer than `limit`.
pub fn run(name: &str, mut command: Command, limit: Duration) -> Vec<u8> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{name}: cannot run {program}: {error}"));
    let mut stdout = process.stdout.take().expect("stdout was asked for");
    let mut stderr = process.stderr.take().expect("stderr was asked for");
    let out = std::thread::spawn(move || read_all(&mut stdout));
    let err = std::thread::spawn(move || read_all(&mut stderr));
    let start = Instant::now();
    let status = loop {
        match process.try_wait().expect("a child can be asked after") {
            Some(status) => break status,
            None if start.elapsed() > limit => {
                let _ = process.kill();
                break process.wait().expect("a killed child ends");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let (out, err) = (out.join().expect("reading does not panic"), err.join().expect("reading does not panic"));
    assert!(status.success(), "{name}: {program} {status}: {}", String::from_utf8_lossy(&err));
    out
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}
