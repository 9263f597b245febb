//! What a user can declare. One folder per kind.

pub mod postgres;
