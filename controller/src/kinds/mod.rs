//! What a user can declare. One folder per kind; the table in [`schemas`] is the only place that lists them.

pub mod postgres;
