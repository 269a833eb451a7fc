//! Signing in with a code on another device (RFC 8628), at the certified provider.

use e2e::{
    browser::Mode,
    process::{self, Running},
    provider::Setup,
    world::{Options, World},
};
use std::{fs, path::PathBuf, process::Command, time::Duration};

/// A `daypass login` that waits for somebody on another device.
struct Waiting {
    login: Running,
    said: PathBuf,
    address: String,
    code: String,
}

impl Waiting {
    fn begin(world: &World, words: &[&str]) -> Self {
        let said = world.home.log("device.log");
        let mut command = Command::new(e2e::program("daypass"));
        world.home.prepare(command.args(words));
        let file = fs::File::create(&said).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let login = Running::start(&mut command);
        let (address, code) = e2e::until("address and code", Duration::from_secs(15), || {
            let text = fs::read_to_string(&said).unwrap_or_default();
            let after = |start: &str| {
                text.lines().skip_while(|line| !line.contains(start)).nth(1).filter(|line| !line.is_empty())
            };
            Some((after("open this address on any device")?.to_owned(), after("enter this code")?.to_owned()))
        });
        Self { login, said, address, code }
    }

    /// Somebody enters the code, in a browser of theirs.
    fn enter(&self, world: &World) {
        world.visit(&format!("{}?user_code={}", self.address, self.code)).ok();
    }

    fn ends(&mut self) -> (i32, String) {
        let code = e2e::until("the command to end", Duration::from_secs(30), || self.login.ended());
        (code, fs::read_to_string(&self.said).unwrap())
    }
}

#[test]
fn without_a_browser_the_device_flow_is_chosen_by_itself_and_leads_to_a_token() {
    let managed = r#"version = 1

[accounts.corp]
issuer = "ISSUER"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile"]

[resources.wages]
account = "corp"
token = "access"
audience = "https://payments.example.com"
request = "resource"
scopes = ["payments.read"]
consent = "preapproved"
peers = "any"
"#;
    let world = World::new(Options { nobody: true, managed: Some(managed.to_owned()), ..Options::default() });
    let mut waiting = Waiting::begin(&world, &["login", "corp"]);
    assert!(waiting.address.starts_with(&world.provider.issuer), "{}", waiting.address);
    waiting.enter(&world);
    let (code, said) = waiting.ends();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("signed in to corp as Alice"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours in a file: {said}");
    assert_eq!(world.status()["accounts"][0]["subject"], "alice");
    assert!(world.provider.token_requests("urn:ietf:params:oauth:grant-type:device_code") > 0);
    assert_eq!(world.provider.token_requests("authorization_code"), 0);
    // It carries on as any sign-in: a refresh for another resource.
    assert!(!world.daypass(&["token", "wages", "--refresh"]).ok().is_empty());
    assert_eq!(world.provider.refreshes(), 1);
}

#[test]
fn it_can_be_asked_for_where_there_is_a_browser() {
    let world = World::new(Options::default());
    let mut waiting = Waiting::begin(&world, &["login", "corp", "--device"]);
    waiting.enter(&world);
    let (code, said) = waiting.ends();
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.windows(), 1, "only the person's own");
    world.permit("payments", &[]);
}

#[test]
fn a_denial_is_told() {
    let world = World::new(Options { nobody: true, ..Options::default() });
    let mut waiting = Waiting::begin(&world, &["login", "corp", "--device"]);
    world.behave(&Mode { sign_in: "deny".to_owned(), ..Mode::default() });
    waiting.enter(&world);
    let (code, said) = waiting.ends();
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("declined at the provider") && said.contains("access_denied"), "{said}");
    assert_eq!(world.status()["accounts"][0]["state"], "sign_in_required");
}

#[test]
fn an_interrupt_ends_the_asking() {
    let world = World::new(Options { nobody: true, ..Options::default() });
    let mut waiting = Waiting::begin(&world, &["login", "corp", "--device"]);
    process::signal(waiting.login.id(), rustix::process::Signal::INT);
    let (code, said) = waiting.ends();
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("cancelled"), "{said}");
    let asked = || world.provider.token_requests("urn:ietf:params:oauth:grant-type:device_code");
    let before = asked();
    // Longer than the pause between two questions.
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(asked(), before, "nobody waits for it any more");
    assert_eq!(world.status()["accounts"][0]["state"], "sign_in_required");
}

#[test]
fn a_provider_that_does_not_offer_it_gets_the_address_printed() {
    let provider = Setup { device: false, ..Setup::default() };
    let world = World::new(Options { nobody: true, provider, ..Options::default() });
    let said = world.daypass(&["login", "corp", "--device"]).fails(7);
    assert!(said.contains("offers no sign-in with a code") && said.contains("--no-browser"), "{said}");
    let said = world.home.log("login.log");
    let mut command = Command::new(e2e::program("daypass"));
    world.home.prepare(command.args(["login", "corp"]));
    let file = fs::File::create(&said).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut login = Running::start(&mut command);
    let address = e2e::until("the printed address", Duration::from_secs(10), || {
        let text = fs::read_to_string(&said).unwrap_or_default();
        text.lines().find(|line| line.starts_with("http://") && line.contains("/start/")).map(str::to_owned)
    });
    world.visit(&address).ok();
    let code = e2e::until("the command to end", Duration::from_secs(15), || login.ended());
    assert_eq!(code, 0, "{}", fs::read_to_string(&said).unwrap());
}
