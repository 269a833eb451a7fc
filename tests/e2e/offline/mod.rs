//! What needs nothing but our own programs.

mod architecture;
mod browser;
mod callback;
mod circumstances;
mod connections;
mod desk;
mod doctor;
mod documents;
mod errors_table;
mod front;
mod interface;
mod lifecycle;
mod managed;
mod nonsense;
mod page_sessions;
mod profiles;
mod service;
mod slow;
mod threat_model;
