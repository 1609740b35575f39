//! Rows as an Apache Parquet file: one row group, one uncompressed page for each column, plain encoding, every column optional.
//! That much of the format (parquet-format 2.11, `parquet.thrift` and `Encodings.md`) is these few lines; the whole of it would be the slowest
//! library to build in this workspace. `tests/reference/check_report.py` reads such files with Arrow.

use super::rows::{Kind, Rowed, Value};

/// Begins and ends the file.
const MAGIC: &[u8; 4] = b"PAR1";
/// Types of the compact protocol of Thrift.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// As the format numbers it.
impl Kind {
    /// `Type`.
    fn physical(self) -> i64 {
        match self {
            Self::Flag => 0,
            Self::Count => 2,
            Self::Number => 5,
            Self::Text => 6,
        }
    }

    /// `ConvertedType`: UTF8 or UINT_64.
    fn converted(self) -> Option<i64> {
        match self {
            Self::Text => Some(0),
            Self::Count => Some(14),
            Self::Flag | Self::Number => None,
        }
    }
}

/// The file.
pub(super) fn parquet(rowed: &Rowed) -> Vec<u8> {
    debug_assert_eq!(rowed.misfit(), None, "a cell of another kind would be left out");
    let rows = rowed.rows.len() as i64;
    let mut file = MAGIC.to_vec();
    let mut chunks = Vec::new();
    for (column, (name, kind)) in rowed.columns.iter().enumerate() {
        let kind = *kind;
        let page = page(rowed, column, kind);
        let mut header = Thrift::default();
        header.i32(1, 0).i32(2, page.len() as i64).i32(3, page.len() as i64);
        // Values, present or not; plain; levels as runs.
        header.inner(5, |data| {
            data.i32(1, rows).i32(2, 0).i32(3, 3).i32(4, 3);
        });
        let (start, header) = (file.len() as i64, header.end());
        let size = (header.len() + page.len()) as i64;
        file.extend(header);
        file.extend(page);
        chunks.push((name, kind, start, size));
    }
    let mut footer = Thrift::default();
    footer.i32(1, 1);
    let mut schema = vec![{
        let mut root = Thrift::default();
        root.text(4, "report").i32(5, rowed.columns.len() as i64);
        root.end()
    }];
    schema.extend(chunks.iter().map(|(name, kind, _, _)| {
        let mut element = Thrift::default();
        element.i32(1, kind.physical()).i32(3, 1).text(4, name);
        if let Some(converted) = kind.converted() {
            element.i32(6, converted);
        }
        element.end()
    }));
    footer.list(2, STRUCT, &schema).i64(3, rows);
    let columns = chunks.iter().map(|(name, kind, start, size)| {
        let mut chunk = Thrift::default();
        chunk.i64(2, *start).inner(3, |meta| {
            let mut path = Vec::new();
            put_text(&mut path, name);
            meta.i32(1, kind.physical()).list(2, I32, &[zigzag(0), zigzag(3)]).list(3, BINARY, &[path]).i32(4, 0);
            meta.i64(5, rows).i64(6, *size).i64(7, *size).i64(9, *start);
        });
        chunk.end()
    });
    let columns: Vec<Vec<u8>> = columns.collect();
    let mut group = Thrift::default();
    group.list(1, STRUCT, &columns).i64(2, chunks.iter().map(|chunk| chunk.3).sum()).i64(3, rows);
    footer.list(4, STRUCT, &[group.end()]);
    footer.text(6, concat!("sweepctl version ", env!("CARGO_PKG_VERSION")));
    let footer = footer.end();
    file.extend(&footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(MAGIC);
    file
}

/// Levels (1 where there is a value) as runs, then the values that are there.
fn page(rowed: &Rowed, column: usize, kind: Kind) -> Vec<u8> {
    let cells = || rowed.rows.iter().map(|row| &row[column]);
    let mut levels = Vec::new();
    let mut runs: Vec<(u8, u64)> = Vec::new();
    for cell in cells() {
        let level = u8::from(cell.is(kind));
        match runs.last_mut() {
            Some((known, length)) if *known == level => *length += 1,
            _ => runs.push((level, 1)),
        }
    }
    for (level, length) in runs {
        varint(&mut levels, length << 1);
        levels.push(level);
    }
    let mut page = (levels.len() as u32).to_le_bytes().to_vec();
    page.extend(levels);
    let mut flags = 0usize;
    for cell in cells() {
        match (cell, kind) {
            (Value::Number(number), Kind::Number) => page.extend(number.to_le_bytes()),
            (Value::Count(count), Kind::Count) => page.extend(count.to_le_bytes()),
            (Value::Text(text), Kind::Text) => {
                page.extend((text.len() as u32).to_le_bytes());
                page.extend(text.as_bytes());
            }
            (Value::Flag(flag), Kind::Flag) => {
                if flags.is_multiple_of(8) {
                    page.push(0);
                }
                if let Some(last) = page.last_mut() {
                    *last |= u8::from(*flag) << (flags % 8);
                }
                flags += 1;
            }
            // `level` takes what is of another kind for nothing, too.
            _ => {}
        }
    }
    page
}

/// A structure in Thrift's compact protocol; fields in ascending order.
#[derive(Debug, Default)]
struct Thrift {
    bytes: Vec<u8>,
    last: u8,
}

impl Thrift {
    fn field(&mut self, id: u8, kind: u8) {
        self.bytes.push((id - self.last) << 4 | kind);
        self.last = id;
    }

    fn i32(&mut self, id: u8, value: i64) -> &mut Self {
        self.field(id, I32);
        self.bytes.extend(zigzag(value));
        self
    }

    fn i64(&mut self, id: u8, value: i64) -> &mut Self {
        self.field(id, I64);
        self.bytes.extend(zigzag(value));
        self
    }

    fn text(&mut self, id: u8, text: &str) -> &mut Self {
        self.field(id, BINARY);
        put_text(&mut self.bytes, text);
        self
    }

    fn list(&mut self, id: u8, kind: u8, elements: &[Vec<u8>]) -> &mut Self {
        self.field(id, LIST);
        match elements.len() {
            length @ 0..15 => self.bytes.push((length as u8) << 4 | kind),
            length => {
                self.bytes.push(0xf0 | kind);
                varint(&mut self.bytes, length as u64);
            }
        }
        self.bytes.extend(elements.concat());
        self
    }

    fn inner(&mut self, id: u8, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.field(id, STRUCT);
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes.extend(inner.end());
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn zigzag(value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(&mut bytes, ((value << 1) ^ (value >> 63)) as u64);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    varint(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_framed_and_its_numbers_are_there_bit_for_bit() {
        let number = 0.1 + 0.2;
        let row = |text: &str, flag: Value| {
            vec![Value::Text(text.into()), Value::Number(number), Value::Count(u64::MAX), flag]
        };
        let kinds = [("a", Kind::Text), ("b", Kind::Number), ("c", Kind::Count), ("d", Kind::Flag)];
        let columns = kinds.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
        let file = parquet(&Rowed { columns, rows: vec![row("x", Value::None), row("ü", Value::Flag(true))] });
        assert!(file.starts_with(MAGIC) && file.ends_with(MAGIC));
        let at = file.len() - 8;
        let footer = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        assert!(footer > 0 && footer < at);
        assert!(file.windows(16).any(|bytes| bytes == [number.to_le_bytes(), number.to_le_bytes()].concat()));
        // Two levels in runs: one absent, one present; then one bit.
        assert!(file.windows(9).any(|bytes| bytes == [4, 0, 0, 0, 2, 0, 2, 1, 1]));
        let mut bytes = Vec::new();
        varint(&mut bytes, 300);
        assert_eq!((bytes, zigzag(-1), zigzag(1)), (vec![0xac, 0x02], vec![1], vec![2]));
    }
}
