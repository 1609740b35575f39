//! Environment variables that a trainer should be started with: libraries read them once, when they are
//! loaded. Those of [`of_trainer`] change how fast it is and nothing that it computes; those of [`of_tf32`] change
//! what a GPU computes with, as the recipe says.

/// The variables for a trainer that may use `threads` threads (at least 1).
///
/// * `OMP_NUM_THREADS`, `MKL_NUM_THREADS`: more threads than cores make small networks 8 to 64 times slower.
/// * `OMP_WAIT_POLICY=passive`: OpenMP otherwise spins after every operation, which takes the cores from others.
/// * `GLIBC_TUNABLES`: a training step allocates and frees the same large buffers again and again. By default
///   glibc gives each back to the kernel, which must clear its pages anew every time; instead they stay in the
///   process. (`glibc.malloc.hugetlb` would save a few misses more and costs half a second at every start: the
///   kernel clears whole huge pages of which little is used.)
pub fn of_trainer(threads: u32) -> [(&'static str, String); 4] {
    let threads = threads.max(1).to_string();
    [
        ("OMP_NUM_THREADS", threads.clone()),
        ("MKL_NUM_THREADS", threads),
        ("OMP_WAIT_POLICY", "passive".to_owned()),
        ("GLIBC_TUNABLES", MALLOC.to_owned()),
    ]
}

/// No mapping of its own for buffers below 1 GiB, nothing given back below 4 GiB.
const MALLOC: &str = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296";

/// NVIDIA's switch: `0` keeps its libraries from TF32, whatever a program asks for.
pub const NVIDIA_TF32: &str = "NVIDIA_TF32_OVERRIDE";
/// libtorch's switch: `1` lets matrix products use TF32 (convolutions do so unless told otherwise).
pub const TORCH_TF32: &str = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE";

/// What `tf32` of a recipe sets (or takes away, where it is `None`) for its trainer: nothing where the recipe leaves it
/// open. Without these a GPU uses TF32 for convolutions and not for matrix products, as PyTorch does.
pub fn of_tf32(allowed: Option<bool>) -> Vec<(&'static str, Option<&'static str>)> {
    match allowed {
        None => Vec::new(),
        // The host's own `NVIDIA_TF32_OVERRIDE=0` would win over the recipe.
        Some(true) => vec![(NVIDIA_TF32, None), (TORCH_TF32, Some("1"))],
        Some(false) => vec![(NVIDIA_TF32, Some("0")), (TORCH_TF32, None)],
    }
}
