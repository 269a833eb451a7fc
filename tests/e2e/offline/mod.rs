//! What needs nothing but our own programs.

mod architecture;
mod browser;
mod front;
mod nonsense;
mod slow;
mod threat_model;
