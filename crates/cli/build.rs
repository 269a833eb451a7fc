//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(name).unwrap_or_default();
    if target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu" {
        // The unwinder from GCC's archive instead of libgcc_s.so: loading that one library was a tenth of the time of a
        // warm `daypass token`.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
