//! What needs nothing but our own programs.

mod architecture;
mod browser;
mod connections;
mod errors_table;
mod front;
mod lifecycle;
mod managed;
mod nonsense;
mod slow;
mod threat_model;
