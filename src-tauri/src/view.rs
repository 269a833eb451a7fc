//! What the tray knows, and what that looks like at a glance.

use jiff::Timestamp;
use localapi::{AuditLine, RequestInfo, Status};

/// Most recent tokens that are remembered.
const MOST_RECENT: usize = 5;

/// What the tray knows.
#[derive(Debug, Clone)]
pub(crate) enum View {
    /// Nothing yet.
    Starting,
    /// No agent, and why.
    Down(String),
    /// What the agent says.
    Up(Box<Up>),
}

/// What the agent says.
#[derive(Debug, Clone)]
pub(crate) struct Up {
    pub(crate) status: Status,
    /// The open questions.
    pub(crate) requests: Vec<RequestInfo>,
    pub(crate) recent: Recent,
}

/// The state at a glance; each has a shape of its own (`icons/tray.svg`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    SignedIn,
    Attention,
    Offline,
    SignedOut,
    Asking,
}

impl View {
    /// The state at a glance.
    pub(crate) fn face(&self) -> Face {
        let up = match self {
            Self::Starting => return Face::SignedOut,
            Self::Down(_) => return Face::Attention,
            Self::Up(up) => up,
        };
        if !up.requests.is_empty() {
            return Face::Asking;
        }
        let accounts = &up.status.accounts;
        let any = |state: &str| accounts.iter().any(|account| account.state == state);
        let [signed_in, unreachable] = ["signed_in", "unreachable"].map(any);
        let troubled = any("keychain_locked") || any("keychain_unavailable");
        let some_out = any("sign_in_required") && (signed_in || unreachable);
        if up.status.profile.state == "locked" || up.status.paused_until.is_some() || troubled || some_out {
            Face::Attention
        } else if signed_in {
            Face::SignedIn
        } else if unreachable {
            Face::Offline
        } else {
            Face::SignedOut
        }
    }
}

/// One token that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) program: String,
    pub(crate) resource: String,
    pub(crate) at: Timestamp,
}

/// The last tokens that were given, newest first, one line for a program and a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recent(pub(crate) Vec<Given>);

impl Recent {
    /// Takes lines of the audit log, oldest first.
    pub(crate) fn take(&mut self, lines: &[AuditLine]) {
        for line in lines.iter().filter(|line| line.event == "token.issued") {
            let (Some(program), Some(resource)) = (&line.program, &line.resource) else { continue };
            let Ok(at) = line.time.parse() else { continue };
            self.0.retain(|given| (&given.program, &given.resource) != (program, resource));
            self.0.insert(0, Given { program: program.clone(), resource: resource.clone(), at });
        }
        self.0.truncate(MOST_RECENT);
    }
}
