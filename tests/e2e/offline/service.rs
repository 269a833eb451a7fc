//! The systemd user unit: hardened, and without what would make every program a stranger to the agent.

use e2e::{
    browser::Mode,
    home::Home,
    process::{self, Running},
    world,
};
use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

const UNIT: &str = "crates/agent/systemd/daypass-agent.service";

/// Options of `[Service]` that give a service a mount, user, pid, network or IPC namespace of its own, or a root
/// (systemd.exec(5)); for each the beginning of its name.
const NAMESPACES: [&str; 26] = [
    "Private",
    "Protect",
    "ReadWrite",
    "ReadOnly",
    "Inaccessible",
    "ExecPaths",
    "NoExec",
    "TemporaryFileSystem",
    "Bind",
    "Root",
    "Mount",
    "ExtensionImages",
    "ExtensionDirectories",
    "NetworkNamespacePath",
    "IPCNamespacePath",
    "UserNamespacePath",
    "ProcSubset",
    "DynamicUser",
    "LogNamespace",
    "JoinsNamespaceOf",
    "PAMName",
    "StateDirectory",
    "CacheDirectory",
    "LogsDirectory",
    "ConfigurationDirectory",
    "SetCredential",
];

/// Section and key of each line, with its value.
fn read(text: &str) -> BTreeMap<(String, String), String> {
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no key: {line}"));
        assert!(!value.ends_with('\\'), "this test reads one line at a time: {line}");
        let before = found.insert((section.clone(), key.to_owned()), value.to_owned());
        assert_eq!(before, None, "{line} is there twice");
    }
    found
}

#[test]
fn the_unit_is_hardened_and_stays_in_the_users_namespaces() {
    let unit = read(&fs::read_to_string(e2e::repository().join(UNIT)).expect("the unit"));
    let value = |key: &str| unit.get(&("Service".to_owned(), key.to_owned())).map(String::as_str);
    for (section, key) in unit.keys() {
        let splits = NAMESPACES.iter().any(|start| key.starts_with(start));
        assert!(!splits, "[{section}] {key}= would give the agent a namespace of its own");
    }
    for (key, expected) in [
        ("Type", "exec"),
        ("ExecStart", "/usr/bin/daypass-agent"),
        ("NoNewPrivileges", "yes"),
        ("LimitCORE", "0"),
        ("MemoryDenyWriteExecute", "yes"),
        ("LockPersonality", "yes"),
        ("RestrictRealtime", "yes"),
        ("SystemCallArchitectures", "native"),
        ("KillMode", "process"),
    ] {
        assert_eq!(value(key), Some(expected), "{key}");
    }
    let families: Vec<_> = value("RestrictAddressFamilies").expect("families").split(' ').collect();
    assert_eq!(families, ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"], "the agent needs these, and no other");
    // A mask would be the browser's too: the agent has its own.
    assert_eq!(value("UMask"), None);
}

#[test]
fn systemd_understands_the_unit() {
    let home = Home::new();
    let text = fs::read_to_string(e2e::repository().join(UNIT)).expect("the unit");
    let agent = e2e::program("daypass-agent").display().to_string();
    let file = home.write("daypass-agent.service", &text.replace("/usr/bin/daypass-agent", &agent), 0o644);
    let mut command = Command::new("systemd-analyze");
    home.prepare(command.args(["--user", "verify", "--man=no"]).arg(&file));
    match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no systemd-analyze here");
        }
        _ => {
            let output = process::run(&mut command, "", Duration::from_secs(30));
            output.ok();
            assert_eq!(output.stderr, "", "what systemd does not understand it says here");
        }
    }
}

/// As in the unit, without a service manager: what stands for `systemd-run` here writes down what it was told, and does it.
#[test]
fn a_confined_agent_has_the_service_manager_start_the_browser() {
    let home = Home::new();
    let browser = world::browser_command(&home);
    home.write_profile(&format!("{}{browser}", world::profile("http://127.0.0.1:9", world::free_port())));
    Mode { visit: false, ..Mode::default() }.write(&home.log("mode.json")).unwrap();
    let told = home.log("told");
    let text = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >{0}.draft\nmv {0}.draft {0}\n\
         while [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n",
        told.display()
    );
    let stand_in = home.write("home/bin/systemd-run", &text, 0o755);
    let folder = stand_in.parent().unwrap().display().to_string();
    home.set_variable("PATH", &format!("{folder}:{}", std::env::var("PATH").unwrap()));
    fs::create_dir_all(home.runtime().join("systemd")).unwrap();
    fs::write(home.runtime().join("systemd/private"), "").unwrap();
    let mut command = Command::new("setpriv");
    command.arg("--no-new-privs").arg(e2e::program("daypass-agent"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _agent = Running::start(home.prepare(&mut command));
    e2e::until("the agent to answer", Duration::from_secs(20), || home.healthy().then_some(()));
    home.daypass(&["open"]).ok();
    let said = e2e::until("the service manager", Duration::from_secs(10), || fs::read_to_string(&told).ok());
    let (manager, program) = said.split_once("\n--\n").expect("a command");
    assert!(manager.starts_with("--user\n") && !manager.contains("http://"), "{manager}");
    assert!(program.contains("e2e-browser") && program.contains("/open/"), "{program}");
    e2e::until("the browser", Duration::from_secs(10), || {
        fs::read_to_string(home.log("browser.jsonl")).is_ok_and(|log| log.contains("opened")).then_some(())
    });
}
