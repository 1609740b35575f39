//! The statistics of a report: estimates, paired differences, corrections, power. Plain functions of plain
//! numbers; `docs/report.md` explains each, `tests/reference/effects.py` records what SciPy and
//! statsmodels say of the same numbers. What is compared with what is left to `report`.

pub mod bootstrap;
pub mod multiple;
pub mod paired;
pub mod power;
pub mod sample;
mod special;
pub mod student;
