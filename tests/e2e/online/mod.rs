//! What needs the provider, and for some the real keychain and the real browser.

mod activity;
mod answering;
mod blocking;
mod browser;
mod canary;
mod consent;
mod curl;
mod doctor;
mod failpoints;
mod help;
mod issuer_down;
mod keychain;
mod kill;
mod logout;
mod managed;
mod minted;
mod parallel;
mod readme;
mod refresh;
mod screen;
mod sign_in;
mod token;
