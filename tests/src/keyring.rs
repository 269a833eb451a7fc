//! A real keychain: gnome-keyring on a private D-Bus that nothing else can reach and that starts no service by itself.

use crate::{bus::Bus, home::Home, process, process::Running, until};
use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const PASSWORD: &str = "password of the test keyring";

/// The bus and the keychain service on it.
pub struct Keyring {
    home: Arc<Home>,
    daemon: Option<Running>,
    bus: Bus,
}

impl Keyring {
    /// Starts both, with the keychain unlocked, and makes the home use them.
    pub fn start(home: &Arc<Home>) -> Self {
        let bus = Bus::start(home, "bus");
        home.use_bus(Some(bus.address().to_owned()));
        let mut keyring = Self { home: home.clone(), daemon: None, bus };
        keyring.start_daemon();
        keyring
    }

    /// Address of the bus it is on.
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    /// Starts the keychain service, unlocked.
    pub fn start_daemon(&mut self) {
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--unlock", "--components=secrets"]).arg(self.control());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.home.prepare(&mut command);
        let mut child = process::spawn(&mut command);
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(PASSWORD.as_bytes()).expect("the service reads its password");
        drop(stdin);
        self.daemon = Some(Running::adopt(child));
        until("the keychain service", Duration::from_secs(10), || {
            let mut ask = Command::new("dbus-send");
            ask.args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]);
            ask.args(["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"]);
            self.home.prepare(&mut ask);
            process::run(&mut ask, "", Duration::from_secs(5)).stdout.contains("boolean true").then_some(())
        });
    }

    fn control(&self) -> String {
        format!("--control-directory={}", self.home.runtime().join("keyring").display())
    }

    /// Locks the collection the tokens are in.
    pub fn lock(&self) {
        let collection = "/org/freedesktop/secrets/collection/login";
        let list = format!("array:objpath:{collection}");
        self.bus_send(&["/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", &list]);
        let [interface, property] = ["string:org.freedesktop.Secret.Collection", "string:Locked"];
        let state = self.bus_send(&[collection, "org.freedesktop.DBus.Properties.Get", interface, property]);
        assert!(state.contains("boolean true"), "the collection is locked: {state}");
    }

    fn bus_send(&self, words: &[&str]) -> String {
        let mut command = Command::new("dbus-send");
        command.args(["--session", "--print-reply", "--dest=org.freedesktop.secrets"]).args(words);
        self.home.prepare(&mut command);
        process::run(&mut command, "", Duration::from_secs(10)).ok()
    }

    /// Unlocks it again, as the log-in of a desktop does it: a packet with the password over the service's control socket.
    pub fn unlock(&self) {
        const UNLOCK: u32 = 1;
        let password = PASSWORD.as_bytes();
        let length = u32::try_from(password.len()).expect("short");
        // A byte for the credentials, then length of the packet, order, length of the password, password.
        let mut packet = vec![0];
        for number in [12 + length, UNLOCK, length] {
            packet.extend(number.to_be_bytes());
        }
        packet.extend(password);
        let mut stream = UnixStream::connect(self.home.runtime().join("keyring/control")).expect("a control socket");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(&packet).expect("write");
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, [0, 0, 0, 8, 0, 0, 0, 0], "the keyring unlocks");
    }

    /// Ends the keychain service at once; the bus stays.
    pub fn kill(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill();
        }
        self.daemon = None;
    }

    /// The labels and attributes of Daypass's items, without their secrets.
    pub fn items(&self) -> String {
        let found = self.secret_tool(&["search", "--all", "service", "daypass"]);
        let all = format!("{}{}", found.stdout, found.stderr);
        all.lines().filter(|line| !line.starts_with("secret = ")).collect::<Vec<_>>().join("\n")
    }

    /// Number of Daypass's items.
    pub fn count(&self) -> usize {
        self.items().lines().filter(|line| line.starts_with("label = ")).count()
    }

    fn secret_tool(&self, words: &[&str]) -> process::Output {
        let mut command = Command::new("secret-tool");
        self.home.prepare(command.args(words));
        process::run(&mut command, "", Duration::from_secs(20))
    }
}
