//! What needs nothing but our own programs.

mod architecture;
mod browser;
mod connections;
mod front;
mod lifecycle;
mod nonsense;
mod slow;
mod threat_model;
