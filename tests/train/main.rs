//! End to end with the real trainer.
