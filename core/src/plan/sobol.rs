//! The Sobol sequence: points that fill a space more evenly than random ones, whatever their number. I. M. Sobol, "On the
//! distribution of points in a cube and the approximate evaluation of integrals", USSR Comput. Math. Math. Phys. 7 (1967); direction numbers of S. Joe
//! and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30 (2008), those of
//! `new-joe-kuo-6.21201`. Scrambled as by A. B. Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences" (1995): each binary
//! digit is flipped or not depending on the digits before it, which keeps the evenness and takes the regularity.

/// Bits of a coordinate.
const BITS: u32 = 32;

/// So many dimensions have direction numbers: as many as a sweep may have axes.
pub(super) const DIMENSIONS: usize = 64;

/// A coordinate of a point, scrambled, as 64 bits of which the upper 32 are the coordinate and the lower ones are drawn.
/// `stream` tells one scrambling from another.
pub(super) fn coordinate(index: u32, dimension: usize, stream: u64) -> u64 {
    let scrambled = scramble(plain(index, dimension), stream);
    let rest = mix(stream ^ mix(u64::from(index))) >> BITS;
    u64::from(scrambled) << BITS | rest
}

/// A coordinate of the sequence itself: the direction numbers of the bits of the Gray code of `index`.
fn plain(index: u32, dimension: usize) -> u32 {
    let gray = index ^ (index >> 1);
    let directions = directions(dimension);
    (0..BITS).filter(|bit| gray >> bit & 1 == 1).fold(0, |all, bit| all ^ directions[bit as usize])
}

/// The direction numbers of a dimension, by Sobol's recurrence.
fn directions(dimension: usize) -> [u32; BITS as usize] {
    let mut directions = [0u32; BITS as usize];
    let Some((polynomial, start)) = dimension.checked_sub(1).and_then(|at| NUMBERS.get(at)) else {
        return std::array::from_fn(|bit| 1 << (BITS - 1 - bit as u32));
    };
    let degree = start.len();
    for bit in 0..BITS as usize {
        directions[bit] = match start.get(bit) {
            Some(number) => number << (BITS as usize - 1 - bit),
            None => {
                let first = directions[bit - degree] ^ (directions[bit - degree] >> degree);
                let set = (1..degree).filter(|at| polynomial >> (degree - at) & 1 == 1);
                set.fold(first, |all, at| all ^ directions[bit - at])
            }
        };
    }
    directions
}

/// Owen's nested scrambling: what flips a digit is drawn from the digits above it.
fn scramble(value: u32, stream: u64) -> u32 {
    (0..BITS).fold(0, |out, place| {
        let shift = BITS - 1 - place;
        let above = if place == 0 { 0 } else { value >> (shift + 1) };
        let flip = mix(stream ^ mix(u64::from(above) << 6 | u64::from(place))) >> 63;
        out | ((value >> shift & 1) ^ flip as u32) << shift
    })
}

/// One step of splitmix64 (Steele, Lea & Flood 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// By dimension, from the second: the primitive polynomial as bits, and the first numbers.
const NUMBERS: [(u32, &[u32]); DIMENSIONS - 1] = [
    (3, &[1]),
    (7, &[1, 3]),
    (11, &[1, 3, 1]),
    (13, &[1, 1, 1]),
    (19, &[1, 1, 3, 3]),
    (25, &[1, 3, 5, 13]),
    (37, &[1, 1, 5, 5, 17]),
    (41, &[1, 1, 5, 5, 5]),
    (47, &[1, 1, 7, 11, 19]),
    (55, &[1, 1, 5, 1, 1]),
    (59, &[1, 1, 1, 3, 11]),
    (61, &[1, 3, 5, 5, 31]),
    (67, &[1, 3, 3, 9, 7, 49]),
    (91, &[1, 1, 1, 15, 21, 21]),
    (97, &[1, 3, 1, 13, 27, 49]),
    (103, &[1, 1, 1, 15, 7, 5]),
    (109, &[1, 3, 1, 15, 13, 25]),
    (115, &[1, 1, 5, 5, 19, 61]),
    (131, &[1, 3, 7, 11, 23, 15, 103]),
    (137, &[1, 3, 7, 13, 13, 15, 69]),
    (143, &[1, 1, 3, 13, 7, 35, 63]),
    (145, &[1, 3, 5, 9, 1, 25, 53]),
    (157, &[1, 3, 1, 13, 9, 35, 107]),
    (167, &[1, 3, 1, 5, 27, 61, 31]),
    (171, &[1, 1, 5, 11, 19, 41, 61]),
    (185, &[1, 3, 5, 3, 3, 13, 69]),
    (191, &[1, 1, 7, 13, 1, 19, 1]),
    (193, &[1, 3, 7, 5, 13, 19, 59]),
    (203, &[1, 1, 3, 9, 25, 29, 41]),
    (211, &[1, 3, 5, 13, 23, 1, 55]),
    (213, &[1, 3, 7, 3, 13, 59, 17]),
    (229, &[1, 3, 1, 3, 5, 53, 69]),
    (239, &[1, 1, 5, 5, 23, 33, 13]),
    (241, &[1, 1, 7, 7, 1, 61, 123]),
    (247, &[1, 1, 7, 9, 13, 61, 49]),
    (253, &[1, 3, 3, 5, 3, 55, 33]),
    (285, &[1, 3, 1, 15, 31, 13, 49, 245]),
    (299, &[1, 3, 5, 15, 31, 59, 63, 97]),
    (301, &[1, 3, 1, 11, 11, 11, 77, 249]),
    (333, &[1, 3, 1, 11, 27, 43, 71, 9]),
    (351, &[1, 1, 7, 15, 21, 11, 81, 45]),
    (355, &[1, 3, 7, 3, 25, 31, 65, 79]),
    (357, &[1, 3, 1, 1, 19, 11, 3, 205]),
    (361, &[1, 1, 5, 9, 19, 21, 29, 157]),
    (369, &[1, 3, 7, 11, 1, 33, 89, 185]),
    (391, &[1, 3, 3, 3, 15, 9, 79, 71]),
    (397, &[1, 3, 7, 11, 15, 39, 119, 27]),
    (425, &[1, 1, 3, 1, 11, 31, 97, 225]),
    (451, &[1, 1, 1, 3, 23, 43, 57, 177]),
    (463, &[1, 3, 7, 7, 17, 17, 37, 71]),
    (487, &[1, 3, 1, 5, 27, 63, 123, 213]),
    (501, &[1, 1, 3, 5, 11, 43, 53, 133]),
    (529, &[1, 3, 5, 5, 29, 17, 47, 173, 479]),
    (539, &[1, 3, 3, 11, 3, 1, 109, 9, 69]),
    (545, &[1, 1, 1, 5, 17, 39, 23, 5, 343]),
    (557, &[1, 3, 1, 5, 25, 15, 31, 103, 499]),
    (563, &[1, 1, 1, 11, 11, 17, 63, 105, 183]),
    (601, &[1, 1, 5, 11, 9, 29, 97, 231, 363]),
    (607, &[1, 1, 5, 15, 19, 45, 41, 7, 383]),
    (617, &[1, 3, 7, 7, 31, 19, 83, 137, 221]),
    (623, &[1, 1, 1, 3, 23, 15, 111, 223, 83]),
    (631, &[1, 1, 5, 13, 31, 15, 55, 25, 161]),
    (637, &[1, 1, 3, 13, 25, 47, 39, 87, 257]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_sequence_is_that_of_scipy() {
        let recorded: BTreeMap<u32, Vec<u32>> =
            serde_json::from_str(include_str!("../../tests/sobol.json")).expect("a recording");
        for (index, row) in recorded {
            for (dimension, value) in row.into_iter().enumerate() {
                assert_eq!(plain(index, dimension) >> 22, value, "point {index}, dimension {dimension}");
            }
        }
    }

    /// What makes it a sequence of low discrepancy, and what scrambling must not lose.
    #[test]
    fn every_beginning_of_a_power_of_two_has_one_point_in_each_slice() {
        for dimension in 0..DIMENSIONS {
            for stream in [0, 7, u64::MAX] {
                let mut seen = [false; 256];
                for index in 0..256 {
                    let slice = (coordinate(index, dimension, stream) >> 56) as usize;
                    assert!(!std::mem::replace(&mut seen[slice], true), "dimension {dimension}, slice {slice}");
                }
            }
        }
        // And in two dimensions one in each of 16 x 16 squares, for the first pair.
        let square = |index| (coordinate(index, 0, 1) >> 60, coordinate(index, 1, 2) >> 60);
        let squares: std::collections::BTreeSet<_> = (0..256).map(square).collect();
        assert_eq!(squares.len(), 256);
    }
}
