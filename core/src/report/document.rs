//! The report as a document: headings, paragraphs, tables, figures. Markdown, HTML and LaTeX are three ways to write
//! down this one value, so that they cannot differ in a number.

mod appendix;
mod blocks;
pub mod html;
mod importance;
pub mod latex;
pub mod markdown;
mod pictures;
mod ranges;
mod recipe;
pub mod sections;

pub use blocks::{Block, Column, Document, Row, Table};
pub use pictures::Classes;
pub use sections::document;
