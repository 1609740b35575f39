//! `sweep-tests`: the harness for everything that crosses crates. [`process`] runs the real binaries
//! and kills them; [`chaos`] does so at random until a sweep is done; [`sim`] runs a whole cluster in
//! simulated time; [`images`] finds real images, if there are any.

pub mod chaos;
pub mod images;
pub mod process;
pub mod random;
pub mod sim;
