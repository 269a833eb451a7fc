//! Entry points for fuzzing: what the kernel says about processes, as far as they choose it themselves, each as a function of bytes.
//!
//! `tests/fuzz` calls them with what a fuzzer finds, the tests below with some thousand damaged inputs, always the same
//! ones. An entry point panics when what it reads is let through although it breaks a rule. No build that is shipped has
//! this module.

use super::{
    interpreter::{FAMILIES, Runs, runs},
    proc::{arguments_of, last_number, parse_stat, users_are},
    sockets::{Tuple, parse_answer, parse_line},
};

/// `/proc/PID/stat`.
pub fn stat(bytes: &[u8]) {
    if let Some(facts) = parse_stat(bytes) {
        assert!(facts.name.chars().count() <= 64 && !facts.name.contains(char::is_control), "a name unfit to be shown");
    }
}

/// `/proc/PID/status`.
pub fn status(bytes: &[u8]) {
    if users_are(bytes, 1000) {
        assert!(!users_are(bytes, 0), "of two users");
    }
}

/// `/proc/loadavg`.
pub fn loadavg(bytes: &[u8]) {
    let _ = last_number(bytes);
}

/// `/proc/PID/cmdline`, read as every interpreter there is.
pub fn command_line(bytes: &[u8]) {
    let arguments = arguments_of(bytes);
    for (family, _) in FAMILIES {
        if let Runs::File(file) = runs(family, &arguments) {
            assert!(!file.is_empty() && bytes.windows(file.len()).any(|part| part == file), "a file nobody named");
        }
    }
}

/// An answer of the socket diagnosis, and a line of `/proc/net/tcp`.
pub fn socket_table(bytes: &[u8]) {
    let (near, far) = (([127, 0, 0, 1], 6174).into(), ([127, 0, 0, 1], 40_000).into());
    let Some(tuple) = Tuple::new(near, far) else { return };
    if let Ok(Some(owner)) = parse_answer(bytes, &tuple, 1) {
        assert!(owner.inode != 0, "nobody's socket");
    }
    if let Some(owner) = std::str::from_utf8(bytes).ok().and_then(|line| parse_line(line, &tuple)) {
        assert!(owner.inode != 0, "nobody's socket");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        prelude::*,
        test_runner::{Config, RngSeed, TestRunner},
    };

    /// Rounds for each reader; always the same ones.
    const ROUNDS: u32 = 20_000;

    /// Calls a reader with bytes from nowhere, and with good ones that were cut, spliced and overwritten.
    fn upset(read: fn(&[u8]), good: &[&str]) {
        let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
        for whole in &good {
            read(whole);
        }
        let noise = prop::collection::vec(any::<u8>(), 0..12);
        let damaged = (prop::sample::select(good), any::<prop::sample::Index>(), 0..24_usize, noise).prop_map(
            |(mut bytes, at, cut, put)| {
                let at = at.index(bytes.len() + 1);
                let end = bytes.len().min(at + cut);
                bytes.splice(at..end, put);
                bytes
            },
        );
        let any_bytes = prop::collection::vec(any::<u8>(), 0..300);
        let config =
            Config { cases: ROUNDS, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&prop_oneof![3 => damaged, 1 => any_bytes], |bytes| {
            read(&bytes);
            Ok(())
        });
        outcome.unwrap();
    }

    #[test]
    fn nothing_the_kernel_says_upsets_its_reader() {
        upset(stat, &["7 (sh) S 5 7 6 34816 7 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 0 0", "7 () x) S 1 2 3 4"]);
        upset(status, &["Name:\tsh\nUid:\t1000\t1000\t1000\t1000\nGid:\t1\n", "Uid:\t0\t0\t0\t0\n"]);
        upset(loadavg, &["0.20 0.18 0.12 1/80 11206\n"]);
    }

    #[test]
    fn no_command_line_upsets_its_reader() {
        upset(
            command_line,
            &[
                "python3\0-u\0-W\0ignore\0/home/a/pay.py\0--x\0",
                "bash\0-euo\0pipefail\0run.sh\0",
                "node\0--require\0x\0app.js\0",
                "java\0-cp\0a.jar\0-jar\0b.jar\0",
                "perl\0-w\0-Ilib\0tool.pl\0",
                "deno\0run\0--allow-net\0main.ts\0",
            ],
        );
    }

    #[test]
    fn no_socket_table_upsets_its_reader() {
        upset(
            socket_table,
            &["  0: 0100007F:9C40 0100007F:181E 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0"],
        );
    }
}
