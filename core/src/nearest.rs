//! "Did you mean": the most similar of some names, if one is similar enough to be a slip.

/// The best match for `word`, by Jaro-Winkler similarity of at least 0.7.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = names.into_iter().map(|name| (strsim::jaro_winkler(word, name), name));
    scored.filter(|(score, _)| *score >= 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_found_and_nonsense_is_not() {
        let names = ["lr", "batch_size", "dropout"];
        assert_eq!(nearest("batchsize", names), Some("batch_size"));
        assert_eq!(nearest("dropuot", names), Some("dropout"));
        assert_eq!(nearest("zzz", names), None);
    }
}
