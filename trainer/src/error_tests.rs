//! Tests of `error`.

use super::*;

#[test]
fn torch_errors_are_told_apart() {
    let class = |text: &str| TrainError::Torch(TchError::Torch(text.into())).class();
    assert_eq!(class("CUDA out of memory. Tried to allocate 2.00 GiB"), FailureClass::OutOfMemory);
    assert_eq!(
        class("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
        FailureClass::OutOfMemory
    );
    assert_eq!(class("CUDA error: an illegal memory access was encountered"), FailureClass::Device);
    assert_eq!(class("shape mismatch"), FailureClass::Crash);
}
