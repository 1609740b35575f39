//! Memory that safe Rust cannot reach: files mapped for reading, and tensors filled in place. The one
//! place with `unsafe` in this workspace.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::slice;

use memmap2::Mmap;
use tch::{Device, Kind, TchError, Tensor};

/// The bytes of a file, shared with every process that maps it.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps all of `file`.
    pub fn new(file: &File) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "memory maps have no safe form; see SAFETY")]
        // SAFETY: the bytes of a map must not change or vanish while it is borrowed. Only cache
        // files are mapped: they are written under a temporary name, renamed and from then
        // on only ever unlinked, which leaves open maps intact. They lie in a folder that belongs
        // to the agent's user.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A tensor of floats on the host that is still being written: a batch goes straight to where libtorch reads
/// it, without a buffer that is cleared, filled, copied and freed, which took longer than making the pixels.
#[derive(Debug)]
pub struct Floats(Tensor);

impl Floats {
    /// A tensor of this shape, f32, contiguous, with arbitrary values in it.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(shape: &[i64]) -> Result<Self, TchError> {
        Tensor::f_empty(shape, (Kind::Float, Device::Cpu)).map(Self)
    }

    /// The values, row by row.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        let (start, count) = (self.0.data_ptr().cast::<f32>(), self.0.numel());
        if count == 0 {
            return &mut [];
        }
        #[expect(unsafe_code, reason = "tch lends no slice of a tensor's memory; see SAFETY")]
        // SAFETY: `start` points to `count` floats on the host, aligned by libtorch's allocator to 64 bytes: the
        // tensor was made contiguous with that type in `new` and nothing else can be reached from here. No other
        // handle to its memory exists: `self.0` is private, is never cloned, and leaves only by `into_tensor`,
        // which takes `self`; the slice borrows `self` mutably. The allocator hands out memory that the program
        // owns, and any bits in it are a float.
        unsafe {
            slice::from_raw_parts_mut(start, count)
        }
    }

    /// The tensor, as written.
    pub fn into_tensor(self) -> Tensor {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_tensor_holds() {
        let mut floats = Floats::new(&[2, 3, 5]).unwrap();
        let values: Vec<f32> = (0..30u8).map(f32::from).collect();
        floats.as_mut_slice().copy_from_slice(&values);
        let tensor = floats.into_tensor();
        assert_eq!((tensor.size(), tensor.kind()), (vec![2, 3, 5], Kind::Float));
        assert_eq!(Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap(), values);
        assert!(Floats::new(&[0, 3]).unwrap().as_mut_slice().is_empty());
        assert!(Floats::new(&[1 << 50]).is_err());
    }
}
