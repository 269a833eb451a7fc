//! What the desktop costs, measured on release programs (`make bench-desktop`): memory with and without a window, the
//! time from a request to a painted question, and how often anything wakes while nothing happens.
//!
//! Painted is what the X server holds: the place of the window is filled, and there is writing in it.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measuring program")]

use e2e::{
    desktop::{HEIGHT, Session, Tray, WIDTH},
    until,
};
use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fs,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

const BEGIN: &str = "<!-- desktop: begin (written by `make bench-desktop`) -->";
const END: &str = "<!-- desktop: end -->";
const LIMIT: Duration = Duration::from_secs(30);
/// Questions that are timed.
const QUESTIONS: usize = 21;
/// Inside the place of the question's window, below its title bar: left, top, width, height.
const PLACE: (usize, usize, usize, usize) = (420, 200, 440, 300);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [document, idle] = &words[..] else {
        panic!("usage: e2e-desktop-bench DOCUMENT IDLE_SECONDS");
    };
    let idle: u64 = idle.parse().expect("seconds");
    let session = Session::start_undriven("\n[desktop]\nsign_in_at_start = \"never\"\n");
    let tray = Tray::find(&session);
    tray.wait_for("corp: not signed in");
    let empty = picture(&session);
    session.sign_in();
    tray.wait_for("corp: signed in");
    let (shell, agent) = (session.shell.id(), session.home.agent_pid().expect("an agent"));
    let sum = || pss(shell) + pss(agent);
    thread::sleep(Duration::from_secs(10));
    let (shell_idle, agent_idle) = (pss(shell), pss(agent));
    let before = sum();
    let processes = below(shell).len();

    let since = Instant::now();
    let mut counts = [shell, agent].map(Woken::new);
    while since.elapsed() < Duration::from_secs(idle) {
        thread::sleep(Duration::from_secs(1));
        counts.iter_mut().for_each(Woken::look);
    }
    let minutes = since.elapsed().as_secs_f64() / 60.0;
    let woken = counts.map(|count| count.sum);

    tray.click("Open Daypass");
    let window = session.find_window("Daypass");
    thread::sleep(Duration::from_secs(5));
    let windows: f64 = below(shell).into_iter().map(pss).sum();
    let with = sum() + windows;
    session.tool(&["wmctrl", "-i", "-c", &window]).ok();
    until("the window's processes to end", LIMIT, || below(shell).is_empty().then_some(()));
    thread::sleep(Duration::from_secs(5));
    let after = sum();

    let mut painted: Vec<f64> = (0..QUESTIONS).map(|n| question(&session, n, &empty)).collect();
    let cold = painted.remove(0);
    painted.sort_by(f64::total_cmp);
    let (median, worst) = (painted[painted.len() / 2], painted[painted.len() - 1]);

    let share = 100.0 * (after - before).abs() / before;
    let rows = [
        ("PSS, idle shell".to_owned(), mib(shell_idle), String::new(), None),
        ("PSS, idle agent beside it".to_owned(), mib(agent_idle), String::new(), None),
        ("PSS, both, no window".to_owned(), mib(before), "≤ 60 MiB".to_owned(), Some(before <= 60.0 * 1024.0)),
        ("web processes meanwhile".to_owned(), processes.to_string(), "0".to_owned(), Some(processes == 0)),
        ("PSS, all, home window open".to_owned(), mib(with), String::new(), None),
        (
            "PSS, both, window closed".to_owned(),
            format!("{} ({share:.1} % off)", mib(after)),
            "within 5 %".to_owned(),
            Some(share <= 5.0),
        ),
        ("request to painted question, first".to_owned(), format!("{cold:.0} ms"), String::new(), None),
        (
            format!("request to painted question, median of {}", painted.len()),
            format!("{median:.0} ms"),
            "≤ 500 ms".to_owned(),
            Some(median <= 500.0),
        ),
        ("request to painted question, slowest".to_owned(), format!("{worst:.0} ms"), String::new(), None),
        ("wake-ups a minute, shell".to_owned(), format!("{:.1}", woken[0] / minutes), String::new(), None),
        ("wake-ups a minute, agent".to_owned(), format!("{:.1}", woken[1] / minutes), String::new(), None),
    ];
    write(&PathBuf::from(document), &table(&rows, minutes));
}

type Row = (String, String, String, Option<bool>);

fn table(rows: &[Row], minutes: f64) -> String {
    let cells: Vec<[String; 4]> = std::iter::once(["what", "measured", "aim", "met"].map(str::to_owned))
        .chain(rows.iter().map(|(what, value, aim, met)| {
            let met = match met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            [what.clone(), value.clone(), aim.clone(), met.to_owned()]
        }))
        .collect();
    let width = |n: usize| cells.iter().map(|row| row[n].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3].map(width);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let mut text =
        format!("- idle minutes watched: {minutes:.1}\n- load afterwards, of which one is the measuring: {load}\n\n");
    for (number, row) in cells.iter().enumerate() {
        let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.extend(["| ", &padded.join(" | "), " |\n"]);
        if number == 0 {
            text.extend(["| ", &widths.map(|width| "-".repeat(width)).join(" | "), " |\n"]);
        }
    }
    text
}

/// Puts the table between its markers; prints it too.
fn write(document: &PathBuf, table: &str) {
    println!("{table}");
    let text = fs::read_to_string(document).expect("the document");
    let (start, rest) = text.split_once(BEGIN).expect("the place for the table");
    let (_, end) = rest.split_once(END).expect("its end");
    fs::write(document, format!("{start}{BEGIN}\n\n{table}\n{END}{end}")).expect("write");
}

/// Milliseconds from a request to its painted question, which is denied then.
fn question(session: &Session, number: usize, empty: &[u32]) -> f64 {
    // A denied program waits a little before it may ask again; so each question is another program's.
    let program = session.home.script(&format!("asks-{number}"));
    until("an empty screen", LIMIT, || (picture(session) == empty).then_some(()));
    let start = Instant::now();
    let home = std::sync::Arc::clone(&session.home);
    let asking = thread::spawn(move || home.run(&program, &["token", "payments", "--wait", "60s"], "", 3 * LIMIT));
    let took = loop {
        if is_painted(&picture(session), empty) {
            break start.elapsed().as_secs_f64() * 1000.0;
        }
        if start.elapsed() > LIMIT {
            session.picture("bench");
            panic!("no question is painted: see tests/artefacts/desktop-bench.png");
        }
        thread::sleep(Duration::from_millis(2));
    };
    // Armed after a second; then Escape denies.
    let window = session.find_window("wants a pass");
    thread::sleep(Duration::from_millis(1500));
    session.tool(&["xdotool", "windowactivate", "--sync", &window, "key", "Escape"]).ok();
    asking.join().unwrap().fails(5);
    until("the window's processes to end", LIMIT, || below(session.shell.id()).is_empty().then_some(()));
    took
}

/// The pixels at the window's place, as the X server holds them.
fn picture(session: &Session) -> Vec<u32> {
    let (left, top, width, height) = PLACE;
    let file = fs::File::open(&session.screen).expect("the screen's memory");
    let length = usize::try_from(file.metadata().expect("its size").len()).expect("small");
    let start = length - WIDTH * HEIGHT * 4;
    let mut pixels = Vec::with_capacity(width * height);
    let mut line = vec![0; width * 4];
    for row in top..top + height {
        file.read_exact_at(&mut line, (start + (row * WIDTH + left) * 4) as u64).expect("a line");
        pixels.extend(line.chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0])));
    }
    pixels
}

/// Whether the place is filled, and with more than a ground.
fn is_painted(now: &[u32], empty: &[u32]) -> bool {
    let changed = now.iter().zip(empty).filter(|(now, empty)| now != empty).count();
    let ground = now[now.len() / 2 + 3];
    let written = now.iter().filter(|pixel| **pixel != ground).count();
    let shades: BTreeSet<u32> = now.iter().copied().collect();
    changed * 10 > now.len() * 9 && written * 50 > now.len() && shades.len() > 30
}

/// Proportional set size in KiB.
fn pss(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("readable by root only");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a sum");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// How often the threads of a process have begun to wait: each wait ends in a wake-up. Threads come and go.
struct Woken {
    pid: u32,
    last: HashMap<OsString, f64>,
    sum: f64,
}

impl Woken {
    fn new(pid: u32) -> Self {
        let mut woken = Self { pid, last: HashMap::new(), sum: 0.0 };
        woken.look();
        woken.sum = 0.0;
        woken
    }

    fn look(&mut self) {
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid)).expect("threads").flatten() {
            let text = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let count =
                text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok());
            let Some(count): Option<f64> = count else { continue };
            self.sum += count - self.last.insert(thread.file_name(), count).unwrap_or_default();
        }
    }
}

/// The processes that descend from one.
fn below(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for thread in threads {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
            found.push(child);
            found.extend(below(child));
        }
    }
    found
}

fn mib(kib: f64) -> String {
    format!("{:.1} MiB", kib / 1024.0)
}
