//! Environment variables that a trainer should be started with: libraries read them once, when they are
//! loaded. They change how fast it is and nothing that it computes.

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
