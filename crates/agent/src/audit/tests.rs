//! The log of a whole agent, with a clock and a keychain of the test.

use super::export::Standing;
use crate::{
    agent::Agent,
    startup::{Call, Outside, assemble},
    store::{AuditEntry, lock},
    times,
};
use broker::{
    SecretString, Timestamp,
    ports::{Clock, Entropy, Keychain, KeychainError},
};
use platform::{entropy::OsEntropy, keychain::Memory, paths::Paths, system_log::Target};
use std::{
    fs, io,
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

const DAY: i64 = 86_400;
const TODAY: i64 = 1_800_000_000;

struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Default)]
struct FakeKeychain {
    items: Memory,
    refuses: AtomicBool,
    absent: AtomicBool,
}

impl Keychain for FakeKeychain {
    fn read(&self, item: &str) -> Result<Option<SecretString>, KeychainError> {
        self.items.read(item)
    }

    fn write(&self, item: &str, secret: &SecretString) -> Result<(), KeychainError> {
        if self.refuses.load(Ordering::Relaxed) { Err(KeychainError::Locked) } else { self.items.write(item, secret) }
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        self.items.delete(item)
    }
}

/// What outlives the agent.
struct World {
    folder: tempfile::TempDir,
    clock: Arc<FakeClock>,
    keychain: Arc<FakeKeychain>,
}

impl World {
    fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config", "state", "managed"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("managed/10.toml"), format!("version = 1\n[broker]\nport = 0\n{policy}")).unwrap();
        // What an agent writes when it starts for the first time is the oldest of all.
        let clock = Arc::new(FakeClock(AtomicI64::new(TODAY - 100 * DAY)));
        Self { folder, clock, keychain: Arc::default() }
    }

    fn managed(&self) -> std::path::PathBuf {
        self.folder.path().join("managed")
    }

    /// Starts an agent today; the first one was installed a hundred days ago.
    async fn start(&self) -> Arc<Agent> {
        let agent = self.assemble().await;
        self.clock.0.store(TODAY, Ordering::Relaxed);
        agent
    }

    async fn assemble(&self) -> Arc<Agent> {
        let [runtime, config, state] = ["run", "config", "state"].map(|name| self.folder.path().join(name));
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        let oidc = oidc::Client::new(&oidc::Options::default(), Arc::clone(&clock), Arc::clone(&entropy)).unwrap();
        let keychain = Arc::clone(&self.keychain);
        let opener: crate::vault::Opener = Arc::new(move || {
            if keychain.absent.load(Ordering::Relaxed) {
                return Err(KeychainError::Absent("it is away".to_owned()));
            }
            Ok(Arc::clone(&keychain) as Arc<dyn Keychain>)
        });
        let call = Call { managed_dir: Some(self.managed()) };
        let outside = Outside { clock, entropy, opener, oidc };
        assemble(&call, &Paths { runtime, config, state }, outside).await.unwrap().0
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn write(agent: &Agent, lines: usize, days_ago: i64) {
    for _ in 0..lines {
        let time = times::rfc3339_millis(Timestamp::from_seconds(TODAY - days_ago * DAY));
        let entry = AuditEntry {
            event: "token.issued",
            code: "ok".into(),
            program: Some("/opt/two\nlines".into()),
            ..AuditEntry::default()
        };
        agent.store.append(entry, time).unwrap();
    }
}

/// Writes old lines until there are so many.
fn fill(agent: &Agent, lines: i64) {
    let there = agent.store.head().0;
    write(agent, usize::try_from(lines - there).unwrap(), 90);
}

async fn verify(agent: &Agent) -> localapi::AuditVerdict {
    let anchor = agent.read_anchor().await.unwrap();
    agent.store.verify_audit(anchor.as_ref()).unwrap()
}

async fn trim(agent: &Arc<Agent>) {
    Arc::clone(agent).trim_audit().await;
}

const RETENTION: &str = "[audit]\nretention = \"30d\"\n";

#[tokio::test]
async fn old_lines_leave_with_the_keychains_knowledge() {
    let world = World::new(RETENTION);
    let agent = world.start().await;
    fill(&agent, 2_300);
    write(&agent, 1_200, 0);
    agent.write_anchor().await;
    trim(&agent).await;
    assert_eq!(agent.audit.stuck(), None);
    assert_eq!(agent.store.audit_count().unwrap(), 1_501, "a batch went, a line says so");
    let verdict = verify(&agent).await;
    assert!(verdict.ok, "{}", verdict.detail);
    let known = agent.read_anchor().await.unwrap().unwrap();
    assert_eq!(known.start.map(|start| start.first), Some(2_001));
    // The next anchor still knows.
    agent.write_anchor().await;
    trim(&agent).await;
    assert_eq!(agent.store.audit_count().unwrap(), 1_202);
    agent.write_anchor().await;
    drop(agent);
    let agent = world.start().await;
    let verdict = verify(&agent).await;
    assert!(verdict.ok && verdict.detail.contains("from line 2301 on"), "{}", verdict.detail);
    let all = agent.store.audit_count().unwrap();
    trim(&agent).await;
    assert_eq!(agent.store.audit_count().unwrap(), all, "nothing more is too old");
}

#[tokio::test]
async fn without_the_keychain_that_anchors_it_nothing_leaves() {
    let world = World::new(RETENTION);
    let agent = world.start().await;
    fill(&agent, 10);
    write(&agent, 1_200, 0);
    agent.write_anchor().await;
    let all = agent.store.audit_count().unwrap();
    world.keychain.refuses.store(true, Ordering::Relaxed);
    trim(&agent).await;
    assert!(agent.audit.stuck().is_some_and(|why| why.contains("keychain")), "{:?}", agent.audit.stuck());
    drop(agent);
    world.keychain.absent.store(true, Ordering::Relaxed);
    let agent = world.start().await;
    let all = all.max(agent.store.audit_count().unwrap());
    trim(&agent).await;
    assert!(agent.audit.stuck().is_some_and(|why| why.contains("not there")), "{:?}", agent.audit.stuck());
    assert_eq!(agent.store.audit_count().unwrap(), all);
    drop(agent);
    world.keychain.refuses.store(false, Ordering::Relaxed);
    world.keychain.absent.store(false, Ordering::Relaxed);
    let agent = world.start().await;
    let all = agent.store.audit_count().unwrap();
    trim(&agent).await;
    assert_eq!((agent.store.audit_count().unwrap(), agent.audit.stuck()), (all - 10 + 1, None));
    assert!(verify(&agent).await.ok);
}

#[tokio::test]
async fn a_log_that_never_had_an_anchor_is_trimmed_without_one() {
    let world = World::new(RETENTION);
    world.keychain.absent.store(true, Ordering::Relaxed);
    let agent = world.start().await;
    fill(&agent, 10);
    write(&agent, 1_200, 0);
    trim(&agent).await;
    assert_eq!(agent.store.audit_count().unwrap(), 1_201);
    assert!(verify(&agent).await.ok);
}

#[tokio::test]
async fn a_keychain_that_comes_after_lines_have_left_is_no_alarm() {
    let world = World::new(RETENTION);
    world.keychain.absent.store(true, Ordering::Relaxed);
    let agent = world.start().await;
    fill(&agent, 10);
    write(&agent, 1_200, 0);
    trim(&agent).await;
    drop(agent);
    world.keychain.absent.store(false, Ordering::Relaxed);
    let agent = world.start().await;
    agent.write_anchor().await;
    let verdict = verify(&agent).await;
    assert!(verdict.ok && verdict.detail.contains("anchored up to"), "{}", verdict.detail);
    assert_eq!(lines_about_the_anchor(&agent), 0, "there was none before");
}

fn lines_about_the_anchor(agent: &Agent) -> usize {
    let all = crate::store::AuditQuery { after: Some(0), since: None, limit: 10_000 };
    agent.store.audit_lines(&all).unwrap().iter().filter(|line| line.event == "audit.unanchored").count()
}

#[tokio::test]
async fn a_log_whose_anchor_is_gone_is_not_called_whole_and_says_so_before_it_is_anchored_anew() {
    let world = World::new("");
    let agent = world.start().await;
    fill(&agent, 10);
    agent.write_anchor().await;
    assert!(verify(&agent).await.ok);
    world.keychain.items.delete("test-policy/audit-anchor").unwrap();
    let verdict = verify(&agent).await;
    assert!(!verdict.ok && verdict.broken_at.is_none(), "{}", verdict.detail);
    assert!(verdict.detail.contains("cannot be told"), "{}", verdict.detail);
    // While the keychain takes no other, one line is enough.
    world.keychain.refuses.store(true, Ordering::Relaxed);
    agent.write_anchor().await;
    agent.write_anchor().await;
    assert_eq!(lines_about_the_anchor(&agent), 1);
    assert!(!verify(&agent).await.ok);
    world.keychain.refuses.store(false, Ordering::Relaxed);
    agent.write_anchor().await;
    assert!(verify(&agent).await.ok && lines_about_the_anchor(&agent) == 1);
    // The next time is another one.
    world.keychain.items.delete("test-policy/audit-anchor").unwrap();
    agent.write_anchor().await;
    assert!(verify(&agent).await.ok && lines_about_the_anchor(&agent) == 2);
}

#[tokio::test]
async fn what_is_not_on_the_disk_yet_is_not_anchored() {
    let world = World::new("");
    let agent = world.start().await;
    fill(&agent, 5);
    // Somebody reads an earlier state, so that the disk cannot be brought up to date.
    let reader = agent.store.reader().unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
    write(&agent, 1, 0);
    assert!(agent.store.settle().is_err());
    agent.write_anchor().await;
    assert_eq!(agent.read_anchor().await.unwrap(), None);
    reader.execute_batch("COMMIT").unwrap();
    agent.write_anchor().await;
    assert_eq!(agent.read_anchor().await.unwrap().map(|anchor| anchor.seq), Some(agent.store.head().0));
}

#[tokio::test]
async fn a_clock_a_year_ahead_takes_no_year_of_lines() {
    let world = World::new(RETENTION);
    let agent = world.start().await;
    let before = agent.store.head().0;
    for days_ago in (0..30).rev() {
        write(&agent, 100, days_ago);
    }
    agent.write_anchor().await;
    world.pass(365 * DAY);
    for _ in 0..6 {
        trim(&agent).await;
    }
    let left = agent.store.audit_count().unwrap();
    assert!(left >= 2_900 && before < 100, "an hour with a wrong clock: {left} lines are left");
    // Even if nobody puts it right, the newest stay.
    for _ in 0..300 {
        trim(&agent).await;
    }
    let left = agent.store.audit_count().unwrap();
    assert!((1_000..1_200).contains(&left), "{left}");
    assert!(verify(&agent).await.ok);
}

#[tokio::test]
async fn what_was_tampered_with_stays_to_be_looked_into() {
    let world = World::new(RETENTION);
    let agent = world.start().await;
    fill(&agent, 10);
    write(&agent, 1_200, 0);
    agent.store.tamper("UPDATE audit SET program = 'x' WHERE seq = 5");
    let all = agent.store.audit_count().unwrap();
    trim(&agent).await;
    assert!(agent.audit.stuck().is_some_and(|why| why.contains("line 5")), "{:?}", agent.audit.stuck());
    assert_eq!(agent.store.audit_count().unwrap(), all);
}

fn listen(dir: &Path, target: Target) -> UnixDatagram {
    let path = target.socket(Some(dir));
    let _ = fs::remove_file(&path);
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn received(socket: &UnixDatagram) -> Vec<String> {
    let mut texts = Vec::new();
    let mut bytes = [0; 16_384];
    loop {
        match socket.recv(&mut bytes) {
            Ok(read) => texts.push(String::from_utf8(bytes[..read].to_vec()).unwrap()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return texts,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The numbers of the lines in these datagrams.
fn seqs(texts: &[String]) -> Vec<i64> {
    let seq = |text: &String| text.split_once("seq=")?.1.split(' ').next()?.parse().ok();
    texts.iter().map(|text| seq(text).unwrap_or_else(|| panic!("no seq: {text}"))).collect()
}

/// Lets the agent send until both targets have everything, or one is in trouble.
async fn sent(agent: &Arc<Agent>) -> Vec<Standing> {
    for _ in 0..200 {
        agent.export_audit();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let standings = agent.audit.exports.standings();
        let newest = agent.store.head().0;
        if !standings.is_empty() && standings.iter().all(|one| one.sent == newest || one.trouble.is_some()) {
            return standings;
        }
    }
    panic!("the lines are not sent: {:?}", agent.audit.exports.standings());
}

#[tokio::test]
async fn each_line_goes_out_once_over_restarts_and_absences() {
    let world = World::new("[audit]\nexport = [\"journald\", \"syslog\"]\n");
    let journal = listen(&world.managed(), Target::Journald);
    let syslog = listen(&world.managed(), Target::Syslog);
    let agent = world.start().await;
    fill(&agent, 5);
    assert!(sent(&agent).await.iter().all(|one| one.trouble.is_none() && one.lost == 0));
    let (in_journal, in_syslog) = (received(&journal), received(&syslog));
    assert_eq!(seqs(&in_journal), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(&in_syslog), [1, 2, 3, 4, 5]);
    let (_, hash) = agent.store.head();
    assert!(in_journal[4].contains(&format!("\nDAYPASS_HASH={hash}\n")), "{}", in_journal[4]);
    assert!(in_journal[4].contains("\nDAYPASS_PROGRAM=/opt/two\u{fffd}lines\n"), "{}", in_journal[4]);
    assert!(in_syslog[4].starts_with("<86>") && in_syslog[4].contains(" daypass["), "{}", in_syslog[4]);

    // Syslog goes away; the journal goes on, and what syslog misses waits.
    drop(syslog);
    write(&agent, 3, 0);
    let standings = sent(&agent).await;
    assert_eq!(seqs(&received(&journal)), [6, 7, 8]);
    let waiting = standings.iter().find(|one| one.target == Target::Syslog).unwrap();
    assert_eq!((waiting.sent, waiting.lost), (5, 0));
    let (_, tries, why) = waiting.trouble.clone().unwrap();
    assert_eq!((tries, why.as_str()), (1, "nobody listens there"));
    assert_eq!(agent.audit.exports.notices().len(), 1, "a person is told");
    agent.export_audit();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(agent.audit.exports.standings()[1].trouble.clone().unwrap().1, 1, "it is not tried at once again");

    // Another agent goes on where this one stopped, and the last lines go out at its end.
    drop(agent);
    let syslog = listen(&world.managed(), Target::Syslog);
    let agent = world.start().await;
    write(&agent, 1, 0);
    agent.export_rest().await;
    let newest = agent.store.head().0;
    assert_eq!(seqs(&received(&syslog)), (6..=newest).collect::<Vec<_>>());
    assert_eq!(seqs(&received(&journal)), (9..=newest).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_log_without_room_is_given_the_rest_later() {
    let world = World::new("[audit]\nexport = [\"syslog\"]\n");
    let syslog = listen(&world.managed(), Target::Syslog);
    let agent = world.start().await;
    fill(&agent, 600);
    let (mut got, mut rounds) = (Vec::new(), 0);
    while got.len() < 600 {
        agent.export_audit();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let more = seqs(&received(&syslog));
        assert!(agent.audit.exports.standings().iter().all(|one| one.trouble.is_none()), "it is slow, not away");
        got.extend(more);
        rounds += 1;
        assert!(rounds < 1_000, "{} lines came", got.len());
    }
    assert!(rounds > 1, "the socket holds less than all of them");
    assert!(got.iter().copied().eq(1..=600), "each once, in their order: {} lines", got.len());
}

#[tokio::test]
async fn lines_that_left_before_they_were_sent_are_counted() {
    let world = World::new("[audit]\nretention = \"30d\"\nexport = [\"syslog\"]\n");
    let agent = world.start().await;
    fill(&agent, 10);
    write(&agent, 1_200, 0);
    assert!(sent(&agent).await[0].trouble.is_some(), "nobody listens");
    trim(&agent).await;
    drop(agent);
    let syslog = listen(&world.managed(), Target::Syslog);
    let agent = world.start().await;
    let mut got = Vec::new();
    for _ in 0..2_000 {
        agent.export_audit();
        tokio::time::sleep(Duration::from_millis(5)).await;
        got.extend(seqs(&received(&syslog)));
        if got.last() == Some(&agent.store.head().0) {
            break;
        }
    }
    assert!(got.iter().copied().eq(11..=agent.store.head().0), "{} lines from {:?} on", got.len(), got.first());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(lock(&agent.audit.stuck).clone(), None);
    let standings = agent.audit.exports.standings();
    assert_eq!((standings[0].lost, standings[0].sent), (10, agent.store.head().0), "{standings:?}");
}
