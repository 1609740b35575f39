//! What a document is made of.

/// A whole report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// What it says, in order.
    pub blocks: Vec<Block>,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// The beginning of a section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A table.
    Table(Table),
    /// A text to be kept as it is, line by line.
    Code(String),
    /// A drawing.
    Figure {
        /// What it shows; also its text for who cannot see it.
        caption: String,
        /// The drawing.
        svg: String,
        /// The same for LaTeX.
        tex: String,
        /// The same for a form without drawings, if it can be a table.
        numbers: Option<Table>,
    },
}

/// Rows under a header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, as long as there are columns.
    pub rows: Vec<Row>,
}

/// One column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Its header.
    pub name: String,
    /// Numbers are aligned right.
    pub number: bool,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its cells.
    pub cells: Vec<String>,
    /// It stands out: the best, the baseline.
    pub strong: bool,
}

impl Table {
    /// A table with text columns and then number columns.
    pub fn new<'a>(
        caption: impl Into<String>,
        text: impl IntoIterator<Item = &'a str>,
        numbers: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let column = |number: bool| move |name: &str| Column { name: name.to_owned(), number };
        let columns = text.into_iter().map(column(false)).chain(numbers.into_iter().map(column(true)));
        Self { caption: caption.into(), columns: columns.collect(), rows: Vec::new() }
    }

    /// A last column of text.
    pub fn and_text(mut self, name: &str) -> Self {
        self.columns.push(Column { name: name.to_owned(), number: false });
        self
    }

    /// Adds a row.
    pub fn row(&mut self, strong: bool, cells: impl IntoIterator<Item = String>) {
        self.rows.push(Row { cells: cells.into_iter().collect(), strong });
    }
}
