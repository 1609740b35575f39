//! Public data sets that `dataset add` knows: where they are, how long they are, what they must hash to.

use sha2::{Digest, Sha256};

/// A data set that can be fetched by name.
#[derive(Debug)]
pub(super) struct Known {
    /// What it is called here: the folder that it becomes.
    pub(super) name: &'static str,
    /// Where its archive is.
    pub(super) url: &'static str,
    /// Length of the archive.
    pub(super) bytes: u64,
    /// What the archive hashes to.
    pub(super) sum: Sum,
    /// What the archive is.
    pub(super) form: Form,
    /// For people.
    pub(super) about: &'static str,
}

/// A checksum in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// SHA-256.
    Sha256(&'static str),
    /// MD5, where its publishers give nothing better. Finds damage, not malice.
    Md5(&'static str),
}

/// What an archive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A gzipped tar with this folder, which is the data set.
    Tgz(&'static str),
    /// A zip with this folder, which is the data set.
    Zip(&'static str),
    /// CIFAR's binary batches in a gzipped tar, made image files.
    Cifar(&'static super::cifar::Batches),
}

/// All of them, in the order in which they are listed.
pub(super) static KNOWN: &[Known] = &[
    Known {
        name: "imagenette2-160",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
        bytes: 99_003_388,
        sum: Sum::Sha256("64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5"),
        form: Form::Tgz("imagenette2-160"),
        about: "10 easy classes of ImageNet, short side 160",
    },
    Known {
        name: "imagenette2-320",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
        bytes: 341_663_724,
        sum: Sum::Sha256("569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"),
        form: Form::Tgz("imagenette2-320"),
        about: "10 easy classes of ImageNet, short side 320",
    },
    Known {
        name: "imagenette2",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
        bytes: 1_557_161_267,
        sum: Sum::Sha256("6cbfac238434d89fe99e651496f0812ebc7a10fa62bd42d6874042bf01de4efd"),
        form: Form::Tgz("imagenette2"),
        about: "10 easy classes of ImageNet, full size",
    },
    Known {
        name: "imagewoof2-160",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2-160.tgz",
        bytes: 92_612_825,
        sum: Sum::Sha256("663c22f69c2802d85e2a67103c017e047096702ffddf9149a14011b7002539bf"),
        form: Form::Tgz("imagewoof2-160"),
        about: "10 breeds of dogs of ImageNet, short side 160",
    },
    Known {
        name: "imagewoof2-320",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2-320.tgz",
        bytes: 328_387_740,
        sum: Sum::Sha256("4e4905ed7643120daaf9bf3b2ef7f3a7e8396d9bdaf254a38c6f01f618b4973d"),
        form: Form::Tgz("imagewoof2-320"),
        about: "10 breeds of dogs of ImageNet, short side 320",
    },
    Known {
        name: "imagewoof2",
        url: "https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2.tgz",
        bytes: 1_343_715_595,
        sum: Sum::Md5("9aafe18bcdb1632c4249a76c458465ba"),
        form: Form::Tgz("imagewoof2"),
        about: "10 breeds of dogs of ImageNet, full size",
    },
    Known {
        name: "cifar-10",
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        sum: Sum::Sha256("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        form: Form::Cifar(&super::cifar::CIFAR_10),
        about: "10 classes, 32 x 32, 50,000 to train on and 10,000 to test",
    },
    Known {
        name: "cifar-100",
        url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        bytes: 168_513_733,
        sum: Sum::Sha256("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
        form: Form::Cifar(&super::cifar::CIFAR_100),
        about: "100 classes, 32 x 32, 50,000 to train on and 10,000 to test",
    },
    Known {
        name: "tiny-imagenet-200",
        url: "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        bytes: 248_100_043,
        sum: Sum::Md5("90528d7ca1a48142e341f4ef8d21d0de"),
        form: Form::Zip("tiny-imagenet-200"),
        about: "200 classes of ImageNet, 64 x 64",
    },
];

/// Computes a checksum of the kind that is expected.
pub(super) enum Hash {
    /// SHA-256.
    Sha256(Sha256),
    /// MD5.
    Md5(md5::Md5),
}

impl Sum {
    /// Nothing hashed yet.
    pub(super) fn begin(self) -> Hash {
        match self {
            Self::Sha256(_) => Hash::Sha256(Sha256::new()),
            Self::Md5(_) => Hash::Md5(md5::Digest::new()),
        }
    }

    /// In hex.
    pub(super) fn hex(self) -> &'static str {
        match self {
            Self::Sha256(hex) | Self::Md5(hex) => hex,
        }
    }

    /// Its name.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::Md5(_) => "MD5",
        }
    }
}

impl Hash {
    /// More bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Md5(hash) => md5::Digest::update(hash, bytes),
        }
    }

    /// In hex.
    pub(super) fn hex(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sha256(hash) => hex(&hash.finalize()),
            Self::Md5(hash) => hex(&md5::Digest::finalize(hash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_checksums_have_their_length() {
        for (place, known) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..place].iter().all(|other| other.name != known.name), "{}", known.name);
            let digits = if matches!(known.sum, Sum::Sha256(_)) { 64 } else { 32 };
            assert_eq!(known.sum.hex().len(), digits, "{}", known.name);
            assert!(known.sum.hex().bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", known.name);
        }
    }

    #[test]
    fn both_kinds_are_computed() {
        let of = |sum: Sum| {
            let mut hash = sum.begin();
            hash.update(b"ab");
            hash.update(b"c");
            hash.hex()
        };
        // The test vectors of FIPS 180-4 and RFC 1321.
        assert_eq!(of(Sum::Sha256("")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(of(Sum::Md5("")), "900150983cd24fb0d6963f7d28e17f72");
    }
}
