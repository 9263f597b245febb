//! What all kinds do alike: networks, images, free names and ports, and containers that play no role beyond being as the
//! manifest says. Pure.

pub mod files;
mod ground;
mod piece;

#[cfg(test)]
mod tests;

pub use ground::{Claim, image, is_free, network};
pub use piece::{Piece, Pulls, Sight, Stage, clear, keep, stage, was_short_lived};
