//! Tokens: random, told once, stored as a hash. The text says what it is and carries a checksum, so that
//! a typing error is found before anybody is asked and scanners recognise one that leaked:
//! `swp_u_<id, 10>_<secret, 52>_<checksum, 7>`, base 32, all of fixed length. A token that is handed to
//! somebody who has not met the coordinator is followed by `.` and the fingerprint of its CA.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::certificate::Fingerprint;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const ID: usize = 10;
/// 256 bits.
const SECRET: usize = 52;
const CHECK: usize = 7;
/// `swp_u_`, two more separators.
const LENGTH: usize = 6 + ID + 1 + SECRET + 1 + CHECK;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's.
    User,
    /// Makes one agent a member.
    Join,
    /// Of a coordinator that serves one person on this host.
    Local,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::User => 'u',
            Self::Join => 'j',
            Self::Local => 'l',
        }
    }
}

/// Why a text is no token. Never says what the text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Something else, or cut off.
    #[error("this is not a token: one begins with swp_ and has {LENGTH} characters")]
    Shape,
    /// A typing error.
    #[error("the token is damaged: its checksum does not fit (was it copied whole?)")]
    Checksum,
    /// What follows the token.
    #[error("what follows the token's dot is not a fingerprint of 64 hex digits")]
    Fingerprint,
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// A token. Its text is shown only where that is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    kind: Kind,
    text: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, secret)", self.id())
    }
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(kind: Kind) -> Result<Self, TokenError> {
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|_| TokenError::Random)?;
        let (id, secret) = random.split_at(8);
        let mut text = format!("swp_{}_{}_{}", kind.letter(), &base32(id)[..ID], base32(secret));
        text = format!("{text}_{}", checksum(&text));
        Ok(Self { kind, text })
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its public half: names it in lists and logs.
    pub fn id(&self) -> &str {
        &self.text[6..6 + ID]
    }

    /// All of it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is stored of it.
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text.as_bytes()).into())
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() != LENGTH || !text.is_ascii() || !text.starts_with("swp_") {
            return Err(TokenError::Shape);
        }
        let kind = match text.as_bytes()[4] {
            b'u' => Kind::User,
            b'j' => Kind::Join,
            b'l' => Kind::Local,
            _ => return Err(TokenError::Shape),
        };
        let part = |from: usize, length: usize| {
            let part = &text.as_bytes()[from..from + length];
            text.as_bytes()[from - 1] == b'_' && part.iter().all(|letter| ALPHABET.contains(letter))
        };
        if !part(6, ID) || !part(7 + ID, SECRET) || !part(8 + ID + SECRET, CHECK) {
            return Err(TokenError::Shape);
        }
        let (body, check) = text.split_at(LENGTH - CHECK - 1);
        if check[1..] != checksum(body) {
            return Err(TokenError::Checksum);
        }
        Ok(Self { kind, text: text.to_owned() })
    }
}

/// A token as it is handed to somebody: with the fingerprint of the CA, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The token.
    pub token: Token,
    /// Whom it may be shown to.
    pub pin: Option<Fingerprint>,
}

impl Handed {
    /// All of it.
    pub fn expose(&self) -> String {
        match self.pin {
            None => self.token.expose().to_owned(),
            Some(pin) => format!("{}.{pin}", self.token.expose()),
        }
    }
}

impl FromStr for Handed {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let (token, pin) = match text.split_once('.') {
            None => (text, None),
            Some((token, pin)) => (token, Some(pin.parse().map_err(|_| TokenError::Fingerprint)?)),
        };
        Ok(Self { token: token.parse()?, pin })
    }
}

/// SHA-256 of a token. Compared in constant time.
#[derive(Clone, Copy, Debug)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of no token: what is compared with when an id is not known, so that it takes as long.
    pub const NONE: Self = Self([0; 32]);

    /// Whether both are of the same token.
    pub fn fits(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Lower-case hex.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads what [`Digest::hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

fn checksum(text: &str) -> String {
    // Seven letters hold 35 bits.
    base32(&crc32fast::hash(text.as_bytes()).to_be_bytes())
}

/// RFC 4648 without padding, lower case.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut bits, mut held) = (0u32, 0u32);
    let mut letter = |index: u32| text.push(char::from(ALPHABET[(index & 31) as usize]));
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            letter(bits >> held);
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        letter(bits << (5 - held));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_is_that_of_the_rfc() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"f"), "my");
        assert_eq!((base32(&[0; 32]).len(), base32(&[0; 4]).len()), (SECRET, CHECK));
    }

    #[test]
    fn a_token_is_read_back_and_a_damaged_one_is_not() {
        for kind in [Kind::User, Kind::Join, Kind::Local] {
            let token = Token::generate(kind).unwrap();
            let text = token.expose().to_owned();
            assert_eq!(text.parse::<Token>().unwrap(), token);
            assert_eq!((token.kind(), token.id().len(), text.len()), (kind, ID, LENGTH));
            assert!(!format!("{token:?}").contains(&text[17..40]), "the secret is not shown");
            for at in 6..text.len() {
                let mut letters: Vec<char> = text.chars().collect();
                letters[at] = if letters[at] == 'a' { 'b' } else { 'a' };
                assert!(letters.into_iter().collect::<String>().parse::<Token>().is_err(), "letter {at}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused_and_not_repeated() {
        for text in ["", "swp_", "hunter2", &"ä".repeat(40), &"swp_u_".repeat(13)] {
            let error = text.parse::<Token>().unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains("hunter2"), "{error}");
        }
        let long = format!("{}\n", Token::generate(Kind::User).unwrap().expose());
        assert_eq!(long.parse::<Token>(), Err(TokenError::Shape));
        assert!(long.parse::<Handed>().is_ok(), "a line's end does not matter where people paste");
    }

    #[test]
    fn two_tokens_differ_and_digests_tell() {
        let [one, two] = [(); 2].map(|()| Token::generate(Kind::User).unwrap());
        assert_ne!(one, two);
        assert!(one.digest().fits(&one.digest()) && !one.digest().fits(&two.digest()));
        assert!(Digest::from_hex(&one.digest().hex()).unwrap().fits(&one.digest()));
        assert!(Digest::from_hex("zz").is_none());
    }

    #[test]
    fn a_handed_token_names_its_coordinator() {
        let token = Token::generate(Kind::Join).unwrap();
        let handed = Handed { token, pin: Some(Fingerprint::of(b"ca")) };
        assert_eq!(handed.expose().parse::<Handed>().unwrap(), handed);
        let cut = handed.expose();
        assert_eq!(cut[..cut.len() - 1].parse::<Handed>(), Err(TokenError::Fingerprint));
    }
}
