//! What needs nothing but our own programs.

mod architecture;
mod browser;
mod connections;
mod doctor;
mod documents;
mod errors_table;
mod front;
mod interface;
mod lifecycle;
mod managed;
mod nonsense;
mod service;
mod slow;
mod threat_model;
