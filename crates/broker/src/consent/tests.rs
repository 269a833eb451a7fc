//! Every order of events gives one outcome.

use super::*;
use crate::peer::FileIdentity;
use proptest::prelude::*;

fn ask(path: &str, anchor: Anchor) -> Ask {
    let instance = ProcessInstance { pid: 5, start_time: 6 };
    let file = FileIdentity { path: path.into(), device: 1, inode: 2, digest: [3; 32] };
    let program = Program::Executable { file, generic_client: false };
    Ask {
        peer: Peer {
            uid: 1,
            instance,
            subject: instance,
            session_leader: None,
            program: Some(program.clone()),
            first_party: false,
            started_by: None,
            package: None,
        },
        program,
        anchor,
        account: "corp".parse().unwrap(),
        issuer: "https://issuer.example".parse().unwrap(),
        resource: "payments".parse().unwrap(),
        audience: Some("https://payments.example".into()),
        scopes: "read".parse().unwrap(),
        says_it_is: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

const AT_LEADER: Anchor = Anchor::Leader(ProcessInstance { pid: 3, start_time: 4 });
const HELD: Option<Span> = Some(Span::seconds(60));

#[test]
fn parallel_requests_are_one_question_and_once_is_one_token_each() {
    let mut table = Table::default();
    let (first, a) = table.open(ask("/bin/x", Anchor::Held), "1".into(), HELD, at(0)).unwrap();
    let (second, b) = table.open(ask("/bin/x", Anchor::Held), "2".into(), HELD, at(0)).unwrap();
    assert!(first.fresh && first.window && !second.fresh && !second.window);
    assert_eq!(first.id, second.id);
    table.answer("1", Choice::Once, false, "page", None, at(1)).unwrap();
    assert_eq!(table.outcome("1", a, at(2)), Outcome::Yes(Choice::Once, "page"));
    assert_eq!(table.outcome("1", a, at(2)), Outcome::Gone, "spent");
    assert_eq!(table.outcome("1", b, at(2)), Outcome::Yes(Choice::Once, "page"));
}

#[test]
fn a_parked_once_is_fetched_once_and_only_where_it_belongs() {
    let mut table = Table::default();
    let here = ask("/bin/x", Anchor::Session("s1".into()));
    let elsewhere = ask("/bin/x", Anchor::Session("s2".into()));
    let other = ask("/bin/y", Anchor::Session("s1".into()));
    table.open(here.clone(), "1".into(), None, at(0)).unwrap();
    assert_eq!(table.claim(&here, at(1)), None);
    table.answer("1", Choice::Once, false, "page", None, at(1)).unwrap();
    assert_eq!(table.claim(&elsewhere, at(2)), None);
    assert_eq!(table.claim(&other, at(2)), None);
    assert_eq!(table.claim(&here, at(2)), Some(("1".into(), Outcome::Yes(Choice::Once, "page"))));
    assert_eq!(table.claim(&here, at(2)), None);
}

#[test]
fn parked_and_held_calls_for_one_thing_are_one_question() {
    let mut table = Table::default();
    let here = ask("/bin/x", Anchor::Session("s1".into()));
    let there = ask("/bin/x", Anchor::Session("s2".into()));
    let (first, _) = table.open(here.clone(), "1".into(), None, at(0)).unwrap();
    let (second, held) = table.open(ask("/bin/x", Anchor::Held), "2".into(), HELD, at(1)).unwrap();
    let (third, _) = table.open(there.clone(), "3".into(), None, at(2)).unwrap();
    assert_eq!((first.id, second.id.as_str(), third.id.as_str()), ("1".to_owned(), "1", "1"));
    assert!(table.leave("1", 999, at(3)).is_none() && table.leave("1", held, at(3)).is_none(), "two are still parked");
    let (_, held) = table.open(ask("/bin/x", Anchor::Held), "4".into(), HELD, at(4)).unwrap();
    table.answer("1", Choice::Once, false, "page", None, at(5)).unwrap();
    assert_eq!(table.outcome("1", held, at(6)), Outcome::Yes(Choice::Once, "page"));
    for parked in [&here, &there] {
        assert_eq!(table.claim(parked, at(6)), Some(("1".into(), Outcome::Yes(Choice::Once, "page"))));
        assert_eq!(table.claim(parked, at(6)), None, "spent");
    }
}

#[test]
fn a_session_that_ends_takes_what_was_parked_with_it() {
    let mut table = Table::default();
    let here = ask("/bin/x", Anchor::Session("s1".into()));
    table.open(here.clone(), "1".into(), None, at(0)).unwrap();
    table.open(ask("/bin/y", Anchor::Held), "2".into(), HELD, at(0)).unwrap();
    let over = table.unpark(&here.anchor, at(1));
    assert_eq!(over.iter().map(|q| q.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(table.get("2").unwrap().state, State::Pending);
}

#[test]
fn a_no_backs_off_longer_each_time() {
    let mut table = Table::default();
    let mut now = 0;
    for (round, wait) in [10, 20, 40].into_iter().enumerate() {
        let id = round.to_string();
        table.open(ask("/bin/x", Anchor::Held), id.clone(), HELD, at(now)).unwrap();
        table.answer(&id, Choice::Deny, false, "page", None, at(now)).unwrap();
        let refused = table.open(ask("/bin/x", Anchor::Held), "z".into(), HELD, at(now + 1)).unwrap_err();
        assert_eq!(refused, Refusal::RateLimited { retry_after: Span::seconds(wait - 1) });
        now += wait;
    }
    table.open(ask("/bin/y", Anchor::Held), "other".into(), HELD, at(now)).unwrap();
}

#[test]
fn an_unanswered_window_is_not_followed_by_another_for_a_while() {
    let mut table = Table::default();
    assert!(table.open(ask("/bin/x", AT_LEADER), "1".into(), None, at(0)).unwrap().0.window);
    assert_eq!(table.tidy(at(120)).len(), 1);
    let (again, _) = table.open(ask("/bin/x", AT_LEADER), "2".into(), None, at(121)).unwrap();
    assert!(again.fresh && !again.window);
    assert!(table.open(ask("/bin/y", AT_LEADER), "3".into(), None, at(121)).unwrap().0.window);
}

#[test]
fn only_possible_answers_are_taken_and_questions_are_capped() {
    let mut table = Table::default();
    let mut inline = ask("/bin/x", Anchor::Held);
    let Program::Executable { file, .. } = inline.program.clone() else { unreachable!() };
    inline.program = Program::Inline { interpreter: file };
    table.open(inline, "1".into(), HELD, at(0)).unwrap();
    for choice in [Choice::Today, Choice::Always] {
        assert_eq!(table.answer("1", choice, false, "page", None, at(1)).unwrap_err(), AnswerError::NotPossible);
    }
    assert_eq!(table.answer("nope", Choice::Once, false, "page", None, at(1)).unwrap_err(), AnswerError::Unknown);
    for i in 0..MOST_PER_PROGRAM {
        let mut one = ask("/bin/flood", Anchor::Held);
        one.resource = format!("r{i}").parse().unwrap();
        table.open(one, format!("f{i}"), HELD, at(0)).unwrap();
    }
    let mut one_more = ask("/bin/flood", Anchor::Held);
    one_more.resource = "more".parse().unwrap();
    assert!(table.open(one_more, "f".into(), HELD, at(0)).is_err());
}

#[test]
fn once_is_for_those_who_were_shown() {
    let mut table = Table::default();
    let (_, early) = table.open(ask("/bin/x", Anchor::Held), "1".into(), HELD, at(0)).unwrap();
    let shown = table.get("1").unwrap().calls();
    let (_, late) = table.open(ask("/bin/x", Anchor::Held), "2".into(), HELD, at(0)).unwrap();
    table.answer("1", Choice::Once, false, "page", Some(&shown), at(1)).unwrap();
    assert_eq!(table.outcome("1", early, at(2)), Outcome::Yes(Choice::Once, "page"));
    assert_eq!(table.outcome("1", late, at(2)), Outcome::Again);
    assert_eq!(table.outcome("1", late, at(2)), Outcome::Gone, "told once");
    let (again, _) = table.open(ask("/bin/x", Anchor::Held), "3".into(), HELD, at(2)).unwrap();
    assert!(again.fresh && again.window, "a new question, shown anew");
}

#[test]
fn abandoned_questions_open_no_second_window_and_are_bounded() {
    let mut table = Table::default();
    let (mut windows, mut opened, mut refused) = (0, 0, 0);
    for i in 0..200 {
        match table.open(ask("/bin/x", Anchor::Held), i.to_string(), HELD, at(i / 4)) {
            Ok((question, waiter)) => {
                opened += 1;
                windows += i32::from(question.window);
                table.leave(&question.id, waiter, at(i / 4)).unwrap();
            }
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::RateLimited { .. }));
                refused += 1;
            }
        }
    }
    assert_eq!((windows, opened, refused), (1, MOST_FRESH, 200 - MOST_FRESH));
    assert!(table.list().len() <= MOST_REMEMBERED_PER_PROGRAM);
    table.open(ask("/bin/x", Anchor::Held), "later".into(), HELD, at(120)).unwrap();
    table.end(at(120), |_| true);
    assert!(table.open(ask("/bin/y", Anchor::Held), "other".into(), HELD, at(120)).unwrap().0.window);
    table.end(at(121), |_| true);
    assert!(!table.open(ask("/bin/y", Anchor::Held), "again".into(), HELD, at(122)).unwrap().0.window);
}

#[test]
fn what_is_remembered_of_all_programs_is_bounded() {
    let mut table = Table::default();
    for i in 0..2 * MOST_REMEMBERED {
        let (question, waiter) =
            table.open(ask(&format!("/bin/{i}"), Anchor::Held), i.to_string(), HELD, at(0)).unwrap();
        table.leave(&question.id, waiter, at(0)).unwrap();
    }
    assert!(table.list().len() <= MOST_REMEMBERED);
}

#[test]
fn calls_of_one_program_that_wait_are_bounded() {
    let mut table = Table::default();
    for i in 0..MOST_WAITING_PER_PROGRAM {
        table.open(ask("/bin/x", Anchor::Held), i.to_string(), HELD, at(0)).unwrap();
    }
    let one_more = table.open(ask("/bin/x", Anchor::Held), "more".into(), HELD, at(0)).unwrap_err();
    assert_eq!(one_more, Refusal::RateLimited { retry_after: Span::seconds(1) });
    table.open(ask("/bin/y", Anchor::Held), "other".into(), HELD, at(0)).unwrap();
}

#[test]
fn every_question_that_expires_is_told_exactly_once_whoever_notices() {
    let mut table = Table::default();
    let (_, waiter) = table.open(ask("/bin/x", Anchor::Held), "1".into(), HELD, at(0)).unwrap();
    assert_eq!(table.outcome("1", waiter, at(60)), Outcome::Gone);
    table.open(ask("/bin/y", Anchor::Held), "2".into(), HELD, at(60)).unwrap();
    assert_eq!(
        table.answer("2", Choice::Once, false, "page", None, at(121)).unwrap_err(),
        AnswerError::Over(State::Expired)
    );
    let told: Vec<_> = table.tidy(at(122)).into_iter().map(|q| q.id).collect();
    assert_eq!(told, ["1", "2"]);
    assert!(table.tidy(at(500)).is_empty());
}

#[test]
fn another_audience_or_issuer_is_another_question() {
    let mut table = Table::default();
    let here = ask("/bin/x", AT_LEADER);
    let moved = Ask { audience: Some("https://elsewhere.example".into()), ..here.clone() };
    let handed_over = Ask { issuer: "https://other.example".parse().unwrap(), ..here.clone() };
    table.open(here.clone(), "1".into(), None, at(0)).unwrap();
    assert!(table.open(moved.clone(), "2".into(), None, at(0)).unwrap().0.fresh);
    table.answer("1", Choice::Once, false, "page", None, at(1)).unwrap();
    assert_eq!(table.claim(&moved, at(2)), None);
    assert_eq!(table.claim(&handed_over, at(2)), None);
    assert!(table.claim(&here, at(2)).is_some());
}

#[derive(Debug, Clone)]
enum Event {
    Answer(Choice),
    Leave,
    End,
    Time(i64),
    Look,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        prop_oneof![Just(Choice::Deny), Just(Choice::Once), Just(Choice::Today), Just(Choice::Always)]
            .prop_map(Event::Answer),
        Just(Event::Leave),
        Just(Event::End),
        (0_i64..90).prop_map(Event::Time),
        Just(Event::Look),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_question_is_decided_at_most_once(events in prop::collection::vec(event(), 0..20), held in any::<bool>()) {
        let mut table = Table::default();
        let anchor = if held { Anchor::Held } else { AT_LEADER };
        let asked = ask("/bin/x", anchor);
        let (_, waiter) = table.open(asked.clone(), "1".into(), held.then_some(Span::seconds(60)), at(0)).unwrap();
        let (mut now, mut decided, mut yes) = (0, 0, 0);
        let mut over = false;
        for event in events {
            match event {
                Event::Answer(choice) => {
                    let answered = table.answer("1", choice, false, "page", None, at(now)).is_ok();
                    prop_assert!(!(answered && over), "an answer after the end");
                    decided += i32::from(answered);
                }
                Event::Leave => decided += i32::from(table.leave("1", waiter, at(now)).is_some()),
                Event::End => decided += i32::try_from(table.end(at(now), |_| true).len()).unwrap(),
                Event::Time(seconds) => { now += seconds; decided += i32::try_from(table.tidy(at(now)).len()).unwrap(); }
                Event::Look => {
                    let outcome = if held { table.outcome("1", waiter, at(now)) } else { table.claim(&asked, at(now)).map_or(Outcome::Pending, |c| c.1) };
                    if let Outcome::Yes(Choice::Once, _) = outcome { yes += 1; }
                }
            }
            over = table.get("1").is_none_or(|q| q.state != State::Pending);
            prop_assert!(yes <= 1, "a once was spent twice");
        }
        prop_assert!(decided <= 1, "decided {decided} times");
    }
}
