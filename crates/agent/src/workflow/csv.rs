//! CSV: rows, and for each column its values, or the range of its numbers.

use csv::{ByteRecord, ReaderBuilder};

use super::number;
use super::summary::{Description, shown};

/// One column as its values come.
#[derive(Debug, Default)]
struct Column {
    /// Values that are not empty.
    values: u64,
    /// One of them is no number.
    text: bool,
    min: f64,
    max: f64,
    sum: f64,
}

/// Read as RFC 4180 says, leniently: nothing is an error.
pub(super) fn describe(text: &str) -> Description {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut header = ByteRecord::new();
    let mut record = ByteRecord::new();
    // Bytes in memory with any number of fields: reading does not fail, it only ends.
    let mut next = |record: &mut ByteRecord| reader.read_byte_record(record).unwrap_or(false);
    next(&mut header);
    let mut columns: Vec<Column> = header.iter().map(|_| Column::default()).collect();
    let (mut rows, mut ragged) = (0_u64, 0_u64);
    while next(&mut record) {
        rows += 1;
        ragged += u64::from(record.len() != header.len());
        for (column, value) in columns.iter_mut().zip(&record) {
            column.take(value);
        }
    }
    let line = format!("CSV, rows: {rows}, columns: {}, ragged rows: {ragged}", columns.len());
    let names = header.iter().map(|name| shown(&String::from_utf8_lossy(name)));
    let entries = names.zip(&columns).map(|(name, column)| column.describe(&name)).collect();
    Description { line, entries }
}

impl Column {
    fn take(&mut self, value: &[u8]) {
        let value = trim(value);
        if value.is_empty() {
            return;
        }
        self.values += 1;
        match number::parse(value) {
            None => self.text = true,
            Some(number) => {
                if self.values == 1 || number < self.min {
                    self.min = number;
                }
                if self.values == 1 || number > self.max {
                    self.max = number;
                }
                self.sum += number;
            }
        }
    }

    fn describe(&self, name: &str) -> String {
        let values = self.values;
        if self.text || values == 0 {
            return format!("{name}: text, values: {values}");
        }
        let mean = self.sum / values as f64;
        let (min, max) = (number::show(self.min), number::show(self.max));
        let mut entry = format!("{name}: numbers, values: {values}, min: {min}, max: {max}");
        if mean.is_finite() {
            entry.push_str(", mean: ");
            entry.push_str(&number::show(mean));
        }
        entry
    }
}

/// Without spaces and tabs around it.
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}
