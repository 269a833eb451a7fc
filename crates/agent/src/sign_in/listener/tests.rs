//! Loads that come twice, and browsers that hang up.

use super::*;
use crate::sign_in::ask_of;
use oidc::Prompt;
use std::{future::Future, pin::pin, task::Poll};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Answers every request with a discovery document; where it offers to take pushed requests, those get no answer.
async fn issuer(pushing: bool) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", socket.local_addr().unwrap());
    let mut document = serde_json::json!({
        "issuer": base, "authorization_endpoint": format!("{base}/authorize"), "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/keys"), "response_types_supported": ["code"],
    });
    if pushing {
        document["pushed_authorization_request_endpoint"] = format!("{base}/par").into();
    }
    let body = document.to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                if head[..read].starts_with(b"POST") {
                    std::future::pending::<()>().await;
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    base
}

/// A sign-in whose first round shows nothing, the headers of its browser, and the address of its request.
async fn scene(agent: &Arc<Agent>, issuer: &str) -> (Scene, HeaderMap) {
    let mut account = agent.rules().accounts.values().next().map(|account| Account::clone(account)).unwrap();
    account.issuer = issuer.parse().unwrap();
    let wish = Wish::default();
    let (mut ask, redeem_for) = ask_of(&account, &agent.rules(), &wish);
    "http://127.0.0.1:4711/callback".clone_into(&mut ask.redirect_uri);
    ask.prompt = Some(Prompt::Nothing);
    let pending = agent.oidc.begin(ask.clone()).await.unwrap();
    let attempt = agent.enter(agent.attempt(&account, &wish, ask, redeem_for));
    *lock(&attempt.pending) = Some(pending);
    lock(&attempt.cookies).push(random::hash("bound"));
    let scene = Scene {
        agent: Arc::clone(agent),
        attempt,
        origin: "http://127.0.0.1:4711".into(),
        cookie_name: "daypass_signin_x".into(),
        cookie_path: "/callback".into(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_static("daypass_signin_x=bound"));
    (scene, headers)
}

/// The issuer's answer that it would have to show something.
async fn not_without_showing(scene: &Scene) -> String {
    let request = lock(&scene.attempt.pending).as_ref().map(oidc::Pending::request).unwrap();
    let address = scene.agent.oidc.authorization_address(&request).await.unwrap();
    let address = address.expose_secret().to_owned();
    let (_, state) = address.split_once("state=").unwrap();
    format!("error=login_required&state={}", state.split('&').next().unwrap())
}

fn leads_to(response: &Response<Body>) -> String {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

/// Begins something and gives it up before it is through.
async fn cut_off<T>(work: impl Future<Output = T>) {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        assert!(work.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_between_rounds_leads_on_however_often_it_is_loaded() {
    let (_room, agent) = crate::testing::agent().await;
    let (scene, headers) = scene(&agent, &issuer(false).await).await;
    let answer = not_without_showing(&scene).await;
    let (first, second) = tokio::join!(callback(&scene, &headers, &answer), callback(&scene, &headers, &answer));
    let address = leads_to(&first);
    assert_eq!(address, leads_to(&second));
    let ticket = address.strip_prefix("http://127.0.0.1:4711/start/").unwrap().to_owned();
    // The one load goes on to the issuer, and the other, later, all the same.
    let on = leads_to(&send_off(&scene, ticket.clone(), &HeaderMap::new()).await);
    assert!(on.contains("/authorize?") && !on.contains("prompt=none"), "{on}");
    assert_eq!(send_off(&scene, ticket.clone(), &HeaderMap::new()).await.status(), pages::start_again().status());
    let third = leads_to(&callback(&scene, &headers, &answer).await);
    assert!(third.contains("/start/") && third != address, "{third}");
    assert!(scene.attempt.is_pending());
    // Another browser is told nothing.
    let stranger = callback(&scene, &HeaderMap::new(), &answer).await;
    assert_eq!(stranger.status(), pages::not_this_browser().status());
}

#[tokio::test]
async fn a_browser_that_hangs_up_loses_neither_the_answer_nor_the_ticket() {
    let (_room, agent) = crate::testing::agent().await;
    let (between, headers) = scene(&agent, &issuer(false).await).await;
    let answer = not_without_showing(&between).await;
    cut_off(callback(&between, &headers, &answer)).await;
    assert!(leads_to(&callback(&between, &headers, &answer).await).contains("/start/"));

    let (pushing, _) = scene(&agent, &issuer(true).await).await;
    *lock(&pushing.attempt.ticket) = Some("ticket".to_owned());
    cut_off(send_off(&pushing, "ticket".to_owned(), &HeaderMap::new())).await;
    assert_eq!(lock(&pushing.attempt.ticket).as_deref(), Some("ticket"), "it can be loaded again");
    assert!(lock(&pushing.attempt.cookies).contains(&random::hash("bound")));
}
