//! Signing in with a code on another device: what a person needs for it, on the terminal (RFC 8628).
//!
//! Invariant: nothing of the provider reaches the terminal but an address and a code of printable ASCII; a QR code is
//! drawn only where it is seen whole, and colours end with each line.

use crate::{
    exit::Failure,
    output::{emit_whole, note, say},
};
use localapi::{DeviceCode, ExitCode};
use qrcode::{Color, EcLevel, QrCode};
use std::{fmt::Write as _, io::IsTerminal};

/// Light modules around a code, on each side (ISO/IEC 18004 asks for four; readers do with two).
const MARGIN: usize = 2;
/// Longest address and code that are shown.
const LONGEST_ADDRESS: usize = 2048;
const LONGEST_CODE: usize = 40;

/// Says where to go and what to enter there: address and code on stdout, a line each; the rest on stderr.
pub(crate) fn show(device: &DeviceCode, place: &str, expires_in: i64) -> Result<(), Failure> {
    let shown = Shown::of(device).ok_or_else(|| {
        Failure::new(ExitCode::Internal, "the agent gave no address and code to sign in with on another device")
    })?;
    say(&format!("daypass: to sign in to {place}, open this address on any device:"));
    emit_whole(&format!("{}\n", shown.address))?;
    say("daypass: and enter this code:");
    emit_whole(&format!("{}\n", shown.code))?;
    if let Some(drawn) = drawable().and_then(|size| draw(shown.whole.unwrap_or(shown.address), size)) {
        note(&drawn);
    }
    let minutes = expires_in / 60;
    let left = if minutes < 2 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    say(&format!("daypass: waiting; the code works for {left}, Ctrl-C gives it up"));
    Ok(())
}

/// What may be shown.
struct Shown<'a> {
    address: &'a str,
    /// The address with the code in it.
    whole: Option<&'a str>,
    code: &'a str,
}

impl<'a> Shown<'a> {
    fn of(device: &'a DeviceCode) -> Option<Self> {
        let code = device.user_code.as_str();
        let typed = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let good_code = !code.trim().is_empty() && code.len() <= LONGEST_CODE && code.bytes().all(typed);
        let whole = device.verification_uri_complete.as_deref().filter(|address| is_shown(address));
        (good_code && is_shown(&device.verification_uri)).then_some(Self {
            address: &device.verification_uri,
            whole,
            code,
        })
    }
}

/// Whether a person may be sent to `address`: https, or http on the loopback for a development issuer.
fn is_shown(address: &str) -> bool {
    let loopback = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    let known = address.starts_with("https://") || loopback.iter().any(|start| address.starts_with(start));
    known && address.len() <= LONGEST_ADDRESS && address.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Columns and rows of the terminal on stderr, if a code can be drawn there.
fn drawable() -> Option<(usize, usize)> {
    let stderr = std::io::stderr();
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .is_some_and(|value| value.to_ascii_uppercase().replace('-', "").contains("UTF8"));
    if !stderr.is_terminal() || dumb || !utf8 {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stderr).ok()?;
    Some((size.ws_col.into(), size.ws_row.into()))
}

/// `text` as a QR code of half blocks, two modules a row, black on white whatever the terminal's own colours are; `None`
/// when it does not fit.
fn draw(text: &str, (columns, rows): (usize, usize)) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let whole = width + 2 * MARGIN;
    // A few rows are for what is said around it.
    if whole > columns || whole.div_ceil(2) + 6 > rows {
        return None;
    }
    let dark = |x: usize, y: usize| {
        let inside = |n: usize| n.checked_sub(MARGIN).filter(|n| *n < width);
        matches!((inside(x), inside(y)), (Some(x), Some(y)) if modules[y * width + x] == Color::Dark)
    };
    let mut drawn = String::new();
    for y in (0..whole).step_by(2) {
        // White on black: a full block is a light module.
        drawn.push_str("\x1b[97;40m");
        for x in 0..whole {
            let below = y + 1 >= whole || dark(x, y + 1);
            drawn.push(match (dark(x, y), below) {
                (false, false) => '█',
                (false, true) => '▀',
                (true, false) => '▄',
                (true, true) => ' ',
            });
        }
        let _ = writeln!(drawn, "\x1b[0m");
    }
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(code: &str, address: &str) -> DeviceCode {
        DeviceCode {
            user_code: code.to_owned(),
            verification_uri: address.to_owned(),
            verification_uri_complete: Some("javascript:alert(1)".to_owned()),
        }
    }

    #[test]
    fn only_addresses_and_codes_a_terminal_can_bear_are_shown() {
        let fine = device("WDJB-MJHT", "https://login.example.com/device");
        let shown = Shown::of(&fine).unwrap();
        assert_eq!((shown.code, shown.whole), ("WDJB-MJHT", None));
        for (code, address) in [
            ("A\x1b[2J", "https://login.example.com/device"),
            ("", "https://login.example.com/device"),
            (" ", "https://login.example.com/device"),
            ("WDJB-MJHT", "http://login.example.com/device"),
            ("WDJB-MJHT", "https://login.example.com/\x1b[2J"),
            ("WDJB-MJHT", "javascript:alert(1)"),
        ] {
            assert!(Shown::of(&device(code, address)).is_none(), "{code:?} {address:?}");
        }
    }

    #[test]
    fn a_code_is_drawn_whole_or_not_at_all_and_every_line_ends_its_colours() {
        let address = "https://login.example.com/device?user_code=WDJB-MJHT";
        let drawn = draw(address, (80, 40)).unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        let width = |line: &str| line.chars().filter(|c| matches!(c, '█' | '▀' | '▄' | ' ')).count();
        assert!(lines.iter().all(|line| line.starts_with("\x1b[97;40m") && line.ends_with("\x1b[0m")));
        assert!(lines.iter().all(|line| width(line) == width(lines[0])));
        assert_eq!(lines.len(), width(lines[0]).div_ceil(2));
        // The upper left finder pattern (ISO/IEC 18004 §6.3.3), two modules a row.
        let corner = |line: &str| line.chars().skip("\x1b[97;40m".len()).take(10).collect::<String>();
        let pattern = ["██████████", "██ ▄▄▄▄▄ █", "██ █   █ █", "██ █▄▄▄█ █", "██▄▄▄▄▄▄▄█"];
        assert_eq!(lines[..5].iter().map(|line| corner(line)).collect::<Vec<_>>(), pattern);
        for size in [(20, 40), (80, 10), (0, 0)] {
            assert!(draw(address, size).is_none(), "{size:?}");
        }
        assert!(draw(&"x".repeat(5000), (500, 500)).is_none(), "more than a QR code holds");
    }
}
