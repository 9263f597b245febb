//! What all kinds do alike: networks, images, free names and ports, and containers that play no role beyond being as the
//! manifest says; and what holds for every container: that it has its name, and that nobody else is on its volume. Pure.

pub mod files;
mod ground;
pub mod names;
pub mod namesakes;
pub mod occupied;
mod piece;

#[cfg(test)]
mod tests;

pub use ground::{Claim, image, is_free, network, other_subnet};
pub use piece::{Piece, Pulls, Sight, Stage, clear, keep, stage, was_short_lived};
