//! Where the lines of a text begin: from octets to lines and columns.

/// A text by its lines.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t str,
    /// The offset of each line's first octet; the first is 0.
    starts: Vec<usize>,
}

/// A line and a column, both from 1; columns count characters. A byte order mark takes no column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`.
    pub fn new(text: &'t str) -> Lines<'t> {
        let newlines = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        let starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Lines { text, starts }
    }

    /// The index, from 0, of the line on which `offset` stands; behind the end, of the last one.
    pub fn index(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The offset at which the line of this index begins.
    pub fn start(&self, index: usize) -> usize {
        self.starts[index.min(self.starts.len() - 1)]
    }

    /// The line of this index, without its end.
    pub fn line(&self, index: usize) -> &'t str {
        let start = self.start(index);
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The position of an offset; behind the end means the end, within a character its first octet.
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let index = self.index(offset);
        let before = &self.text[self.start(index)..offset];
        let mark = usize::from(index == 0 && before.starts_with('\u{feff}'));
        Position { line: index + 1, column: before.chars().count() + 1 - mark }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let lines = Lines::new("a\né = 1\r\n\tb");
        assert_eq!(lines.position(0), Position { line: 1, column: 1 });
        assert_eq!(lines.position(2), Position { line: 2, column: 1 });
        assert_eq!(lines.position(3), Position { line: 2, column: 1 }, "within the é");
        assert_eq!(lines.position(4), Position { line: 2, column: 2 });
        assert_eq!(lines.position(99), Position { line: 3, column: 3 });
        assert_eq!(lines.line(1), "é = 1");
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        assert_eq!(Lines::new("\u{feff}a").position(3), Position { line: 1, column: 1 });
        assert_eq!(Lines::new("\u{feff}a").position(4), Position { line: 1, column: 2 });
        assert_eq!(Lines::new("").position(5), Position { line: 1, column: 1 });
    }
}
