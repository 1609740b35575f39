//! A checkpoint as a plain state dict: the network's tensors under PyTorch's names and nothing that
//! only training needs, so that `load_state_dict` takes it as it is.

use std::io;

use serde_json::{Map, Value, json};

/// Prefixes of what a `last` checkpoint holds beside the network.
const TRAINING: [&str; 4] = ["optimizer.", "best.", "average.", "meter."];

/// The safetensors file `file` with the network's tensors only; of an averaged network (`ema`), the
/// average, which is what was validated.
pub(super) fn of_checkpoint(file: &[u8]) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it is no safetensors file");
    let (length, rest) = file.split_first_chunk::<8>().ok_or_else(wrong)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| wrong())?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let header: Map<String, Value> = serde_json::from_slice(header)?;
    let averaged = header.keys().any(|name| name.starts_with("average."));
    let mut kept = Vec::new();
    for (name, entry) in &header {
        let name = match (averaged, name.strip_prefix("average.")) {
            (true, Some(name)) => name,
            (true, None) => continue,
            (false, _) if name == "__metadata__" || TRAINING.iter().any(|prefix| name.starts_with(prefix)) => continue,
            (false, _) => name,
        };
        let offset = |at: usize| entry["data_offsets"][at].as_u64().and_then(|offset| usize::try_from(offset).ok());
        let bytes = offset(0).zip(offset(1)).and_then(|(from, to)| data.get(from..to)).ok_or_else(wrong)?;
        kept.push((offset(0), name, entry, bytes));
    }
    kept.sort_by_key(|(place, ..)| *place);
    let mut out_header = Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
    let mut end = 0;
    for (_, name, entry, bytes) in &kept {
        let offsets = [end, end + bytes.len()];
        let tensor = json!({"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": offsets});
        out_header.insert((*name).to_owned(), tensor);
        end += bytes.len();
    }
    let mut text = serde_json::to_vec(&out_header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    kept.iter().for_each(|(.., bytes)| out.extend_from_slice(bytes));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tensors: &[(&str, &[u8])]) -> Vec<u8> {
        let mut header = Map::from_iter([("__metadata__".to_owned(), json!({"sweep": "{}"}))]);
        let mut data = Vec::new();
        for (name, bytes) in tensors {
            let offsets = [data.len(), data.len() + bytes.len()];
            header.insert((*name).to_owned(), json!({"dtype": "U8", "shape": [bytes.len()], "data_offsets": offsets}));
            data.extend_from_slice(bytes);
        }
        let header = serde_json::to_vec(&header).unwrap();
        [(header.len() as u64).to_le_bytes().to_vec(), header, data].concat()
    }

    fn tensors(file: &[u8]) -> Vec<(String, Vec<u8>)> {
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        assert_eq!(length % 8, 0);
        let header: Map<String, Value> = serde_json::from_slice(&file[8..8 + length]).unwrap();
        let named = header.iter().filter(|(name, _)| *name != "__metadata__");
        let bytes = |entry: &Value| {
            let at = |place: usize| entry["data_offsets"][place].as_u64().unwrap() as usize + 8 + length;
            file[at(0)..at(1)].to_vec()
        };
        named.map(|(name, entry)| (name.clone(), bytes(entry))).collect()
    }

    #[test]
    fn only_the_network_is_left() {
        let given =
            file(&[("optimizer.a.mean", b"xx"), ("b", b"bbb"), ("best.b", b"yyy"), ("meter.loss", b"z"), ("a", b"aa")]);
        let out = of_checkpoint(&given).unwrap();
        assert_eq!(tensors(&out), [("a".to_owned(), b"aa".to_vec()), ("b".to_owned(), b"bbb".to_vec())]);
        let averaged =
            of_checkpoint(&file(&[("a", b"aa"), ("average.a", b"AA"), ("optimizer.a.mean", b"xx")])).unwrap();
        assert_eq!(tensors(&averaged), [("a".to_owned(), b"AA".to_vec())]);
    }

    #[test]
    fn what_is_no_safetensors_file_is_refused() {
        let good = file(&[("a", b"aa")]);
        for bad in [&good[..7], &good[..20], &good[..good.len() - 1], b"\xff\xff\xff\xff\xff\xff\xff\xff{}"] {
            assert!(of_checkpoint(bad).is_err());
        }
    }
}
