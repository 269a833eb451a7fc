//! What becomes of a permission when the system updates the program: a throw-away Debian package, really installed.

use e2e::{
    process,
    world::{Options, World},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

/// An ordinary program for all the system knows: Perl under another name.
const PROGRAM: &str = "/usr/lib/daypass-update-probe/tool";
const PACKAGES: [&str; 2] = ["daypass-update-probe", "daypass-update-other"];

/// Takes the packages and the program away again, however the test ends.
struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        for package in PACKAGES {
            let _ = Command::new("dpkg").args(["--purge", package]).output();
        }
        let _ = fs::remove_dir_all(Path::new(PROGRAM).parent().unwrap());
    }
}

fn dpkg(command: &mut Command) {
    // Another installation may be going on.
    e2e::until("the package manager", Duration::from_mins(2), || {
        let output = command.env("DEBIAN_FRONTEND", "noninteractive").output().expect("dpkg");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || text.contains("lock"), "{command:?}: {text}");
        output.status.success().then_some(())
    });
}

/// Makes and installs a package that owns the program, whose bytes differ with the version.
fn install(world: &World, package: &str, version: &str) {
    let folder = world.home.folder(&format!("{package}-{version}"));
    let tree = folder.join("tree");
    let program = tree.join(PROGRAM.trim_start_matches('/'));
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let bytes = [fs::read("/usr/bin/perl").unwrap(), version.as_bytes().to_vec()].concat();
    fs::write(&program, bytes).unwrap();
    let control = format!(
        "Package: {package}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: x\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    for path in
        [&program, &tree, &tree.join("DEBIAN"), &tree.join("usr"), &tree.join("usr/lib"), program.parent().unwrap()]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let archive = folder.join("package.deb");
    dpkg(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&archive));
    dpkg(Command::new("dpkg").args(["--force-overwrite", "--install"]).arg(&archive));
}

/// The program asks through `daypass`, which stands for it.
fn ask(world: &World, words: &[&str]) -> process::Output {
    let text = "exit(system({$ENV{DAYPASS}} 'daypass', 'token', @ARGV) >> 8)";
    let mut command = Command::new(PROGRAM);
    command.args(["-e", text]).args(words);
    world.home.prepare(&mut command).env("DAYPASS", world.home.program("daypass"));
    process::run(&mut command, "", Duration::from_mins(1))
}

fn kept(world: &World) -> Vec<String> {
    let lines = world.rows(&["audit"]);
    let kept = lines.iter().filter(|line| line["event"] == "grant.updated");
    kept.map(|line| format!("{} {} {}", line["program"], line["resource"], line["via"]).replace('"', "")).collect()
}

#[test]
fn a_permission_follows_the_package_and_nothing_else() {
    assert!(rustix::process::geteuid().is_root(), "these cases need root: .ci/run runs them");
    if !Path::new("/usr/bin/dpkg-deb").exists() {
        println!("SKIPPED a_permission_follows_the_package_and_nothing_else: not a Debian system");
        return;
    }
    let world = World::signed_in(Options::default());
    let _installed = Installed;
    install(&world, PACKAGES[0], "1");
    world.answer("always");
    for resource in ["payments", "api"] {
        ask(&world, &[resource, "--wait", "30s"]).ok();
    }
    world.answer("ignore");
    ask(&world, &["payments"]).ok();
    let windows = world.windows();
    assert!(kept(&world).is_empty());

    // An update keeps what was given, says so once for each permission, and asks nobody.
    install(&world, PACKAGES[0], "2");
    for _ in 0..2 {
        ask(&world, &["payments"]).ok();
    }
    let line = |resource: &str| format!("{PROGRAM} {resource} deb:{}", PACKAGES[0]);
    assert_eq!(kept(&world), [line("payments")]);
    assert_eq!(world.windows(), windows);
    ask(&world, &["api"]).ok();
    assert_eq!(kept(&world), [line("payments"), line("api")]);
    assert_eq!(world.rows(&["grants"]).len(), 2);
    world.daypass(&["audit", "verify"]).ok();

    // Another package's program at the same place has to ask, and so has one without a package.
    install(&world, PACKAGES[1], "3");
    ask(&world, &["payments"]).fails(6);
    install(&world, PACKAGES[0], "4");
    ask(&world, &["payments"]).ok();
    let bytes = [fs::read(PROGRAM).unwrap(), b"5".to_vec()].concat();
    for package in PACKAGES {
        dpkg(Command::new("dpkg").args(["--purge", package]));
    }
    fs::create_dir_all(Path::new(PROGRAM).parent().unwrap()).unwrap();
    fs::write(PROGRAM, bytes).unwrap();
    fs::set_permissions(PROGRAM, fs::Permissions::from_mode(0o755)).unwrap();
    ask(&world, &["payments"]).fails(6);

    // What was taken back stays so, whatever is updated.
    fs::remove_file(PROGRAM).unwrap();
    install(&world, PACKAGES[0], "6");
    ask(&world, &["payments"]).ok();
    world.daypass(&["grants", "revoke", "--all"]).ok();
    install(&world, PACKAGES[0], "7");
    ask(&world, &["payments"]).fails(6);
}
