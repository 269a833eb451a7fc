#![no_main]

use profile::{Source, SourceKind, resolve};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (file, kind) in [("a.toml", SourceKind::Managed), ("a.json", SourceKind::Managed), ("a.toml", SourceKind::User)]
    {
        let _ = resolve(&[Source { file: file.to_owned(), kind, bytes: bytes.to_vec() }], "1.2.0");
    }
});
