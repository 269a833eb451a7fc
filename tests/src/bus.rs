//! A private D-Bus that nothing else can reach and that starts no service by itself.

use crate::{home::Home, process::Running, until};
use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

/// A bus; it ends when this value goes.
pub struct Bus {
    process: Running,
    address: String,
}

impl Bus {
    /// Starts one that listens on `name` in the home's runtime folder.
    pub fn start(home: &Home, name: &str) -> Self {
        let socket = home.runtime().join(name);
        // What an earlier one left.
        let _ = fs::remove_file(&socket);
        let configuration = home.folder("bus").join(format!("{name}.conf"));
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"#,
            socket.display()
        );
        fs::write(&configuration, text).expect("write");
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg(format!("--config-file={}", configuration.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        home.prepare(&mut command);
        let process = Running::start(&mut command);
        until("the private bus", Duration::from_secs(10), || socket.exists().then_some(()));
        Self { process, address: format!("unix:path={}", socket.display()) }
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
