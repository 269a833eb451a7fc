//! The table: rows with aims, the machine they were measured on, and their place in `docs/performance.md`.

use std::{fs, io, path::Path, process::Command};

const BEGIN: &str = "<!-- measured: begin (written by `make bench`) -->";
const END: &str = "<!-- measured: end -->";

/// A unit of measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Instructions.
    Instructions,
    /// Requests in a second.
    Rate,
    /// Mebibytes.
    Mib,
    /// A plain number.
    Count,
}

impl Unit {
    /// A figure in this unit, for people.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Micros if value >= 1000.0 => format!("{:.2} ms", value / 1000.0),
            Self::Micros => format!("{value:.1} µs"),
            Self::Millis => format!("{value:.1} ms"),
            Self::Instructions => format!("{:.2} M", value / 1e6),
            Self::Rate => format!("{value:.0}/s"),
            Self::Mib => format!("{value:.2} MiB"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// At most this, in the row's unit.
    AtMost(f64),
    /// At most this many times the figure beside it.
    RatioAtMost(f64),
    /// At least this many times the figure beside it.
    RatioAtLeast(f64),
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    what: String,
    unit: Unit,
    value: Option<f64>,
    beside: Option<(String, Option<f64>)>,
    aim: Option<Aim>,
}

impl Row {
    /// A figure; `None` where it could not be measured.
    pub fn new(what: impl Into<String>, unit: Unit, value: impl Into<Option<f64>>) -> Self {
        Self { what: what.into(), unit, value: value.into(), beside: None, aim: None }
    }

    /// Puts another figure of the same unit beside it; without a value the text says why there is none.
    #[must_use]
    pub fn beside(mut self, name: impl Into<String>, value: impl Into<Option<f64>>) -> Self {
        self.beside = Some((name.into(), value.into()));
        self
    }

    /// What it should be.
    #[must_use]
    pub fn aim(mut self, aim: Aim) -> Self {
        self.aim = Some(aim);
        self
    }

    fn ratio(&self) -> Option<f64> {
        let (_, beside) = self.beside.as_ref()?;
        Some(self.value? / (*beside)?)
    }

    fn met(&self) -> Option<bool> {
        match self.aim? {
            Aim::AtMost(most) => Some(self.value? <= most),
            Aim::RatioAtMost(most) => Some(self.ratio()? <= most),
            Aim::RatioAtLeast(least) => Some(self.ratio()? >= least),
        }
    }

    fn cells(&self) -> [String; 6] {
        let value = self.value.map_or_else(|| "not measured".to_owned(), |value| self.unit.show(value));
        let beside = self.beside.as_ref().map_or_else(String::new, |(name, value)| match value {
            Some(value) => format!("{name} {}", self.unit.show(*value)),
            None => name.clone(),
        });
        let ratio = self.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let aim = match self.aim {
            Some(Aim::AtMost(most)) => format!("≤ {}", self.unit.show(most)),
            Some(Aim::RatioAtMost(most)) => format!("≤ {most:.1} ×"),
            Some(Aim::RatioAtLeast(least)) => format!("≥ {least:.1} ×"),
            None => String::new(),
        };
        let met = match (self.aim, self.met()) {
            (None, _) => "",
            (_, Some(true)) => "yes",
            (_, Some(false)) => "**no**",
            (_, None) => "unknown",
        };
        [self.what.clone(), value, beside, ratio, aim, met.to_owned()]
    }
}

/// The table as Markdown, its columns aligned.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![["what", "median", "beside", "ratio", "aim", "met"].map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |cells: &[String; 6]| {
        let cells: Vec<_> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let body: String = lines[1..].iter().map(line).collect();
    format!("{}| {} |\n{body}", line(&lines[0]), rule.join(" | "))
}

/// Processes that wanted the processor in the last minute, on average; best asked before anything is measured.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// When, on what and with which programs the table was made; `load` is what [`load`] said at the start.
pub fn machine(load: &str) -> String {
    let file = |name: &str| fs::read_to_string(name).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once([':', '=']).map_or_else(String::new, |(_, value)| value.trim().trim_matches('"').to_owned())
    };
    let (cpu, memory, system) = (file("/proc/cpuinfo"), file("/proc/meminfo"), file("/etc/os-release"));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let gigabytes = field(&memory, "MemTotal").split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
    let gigabytes = gigabytes.unwrap_or_default().div_ceil(1024 * 1024);
    let revision = said("git", &["rev-parse", "--short=12", "HEAD"]);
    // The table itself is not what is measured.
    let changes = said("git", &["status", "--porcelain", "--", ".", ":!docs/performance.md"]);
    let state = if changes.is_empty() { "" } else { ", with changes not committed" };
    let agent = e2e::program("daypass-agent");
    let programs = [
        said(&agent.display().to_string(), &["--version"]),
        said("rustc", &["--version"]),
        said("oidc-token", &["--version"]),
        said("curl", &["--version"]),
        said("valgrind", &["--version"]),
    ];
    let programs: Vec<_> = programs.into_iter().filter(|line| !line.is_empty()).collect();
    [
        format!("- date: {}", said("date", &["--utc", "+%Y-%m-%d %H:%M UTC"])),
        format!("- revision: {revision}{state}"),
        format!("- processor: {}, {cores} cores, {gigabytes} GiB", field(&cpu, "model name")),
        format!("- system: {}, Linux {}", field(&system, "PRETTY_NAME"), file("/proc/sys/kernel/osrelease").trim()),
        format!("- programs: {}", programs.join(", ")),
        format!("- load before: {load}"),
    ]
    .join("\n")
}

/// The first line a program prints, without what follows a parenthesis; empty when it is not there.
fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).current_dir(e2e::repository()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().split(" (").next().unwrap_or_default().to_owned()
}

/// Puts `text` between the markers of a document and leaves everything else as it is.
///
/// # Errors
/// When the document cannot be read or written, or has no markers.
pub fn write(document: &Path, text: &str) -> io::Result<()> {
    let old = fs::read_to_string(document)?;
    let new =
        between(&old, text).ok_or_else(|| io::Error::other(format!("the lines `{BEGIN}` and `{END}` are missing")))?;
    fs::write(document, new)
}

fn between(old: &str, text: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let old = format!("# Head\n\n{BEGIN}\nold\n{END}\n\nmine\n");
        assert_eq!(between(&old, "new\n").unwrap(), format!("# Head\n\n{BEGIN}\n\nnew\n\n{END}\n\nmine\n"));
        assert!(between("# Head\n", "new").is_none());
    }

    #[test]
    fn a_row_says_whether_its_aim_is_met() {
        let row = |value: f64| Row::new("x", Unit::Micros, value).beside("y", 10.0);
        assert_eq!(row(18.0).aim(Aim::RatioAtMost(1.8)).met(), Some(true));
        assert_eq!(row(18.1).aim(Aim::RatioAtMost(1.8)).met(), Some(false));
        assert_eq!(row(4.9).aim(Aim::RatioAtLeast(0.5)).met(), Some(false));
        assert_eq!(row(40.0).aim(Aim::AtMost(40.0)).met(), Some(true));
        let unknown = Row::new("x", Unit::Micros, 1.0).beside("not installed", None).aim(Aim::RatioAtMost(0.7));
        assert_eq!(unknown.cells()[3..], [String::new(), "≤ 0.7 ×".to_owned(), "unknown".to_owned()]);
    }
}
