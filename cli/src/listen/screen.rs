//! The running utterance on a terminal: certain text plain, tentative text dim, a status line below, rewritten in place.
//!
//! Rows that consist of certain text only are written once and scroll away; the cursor never has to go back further
//! than the screen is high. Each picture is one string for one write, which overwrites before it erases: no flicker.
//! The last column stays empty, because terminals differ in what a full row does.
//!
//! When a terminal becomes narrower it breaks rows that do not fit any more, so what was drawn takes more rows than it
//! did; rows that were ended stay separate when it becomes wider.

use super::layout::{columns, printable, rows};
use std::fmt::Write;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
const ERASE_TO_END_OF_ROW: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// Columns and rows of the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// The rows on the screen of the running utterance.
#[derive(Debug, Default)]
pub struct Screen {
    /// Bytes of the utterance's text that stand in rows which will not be touched again.
    settled: usize,
    /// Columns used by each row that can be rewritten; the cursor is at the end of the last.
    drawn: Vec<usize>,
}

impl Screen {
    /// The running utterance as it is now, and the status line.
    pub fn draw(&mut self, committed: &str, tentative: &str, status: Option<&str>, size: Size) -> String {
        let mut picture = self.to_start(size);
        let text = printable(committed) + &printable(tentative);
        let certain = printable(committed).len();
        let width = size.columns.saturating_sub(1).max(1);
        self.settle(&text, certain, width, &mut picture);
        let rest = text.get(self.settled..).unwrap_or_default();
        let certain = certain.saturating_sub(self.settled);
        let mut open = if rest.is_empty() { Vec::new() } else { rows(rest, width) };
        // Text that does not fit on the screen is left out at the top: the newest words count.
        let room = size.rows.saturating_sub(usize::from(status.is_some())).max(1);
        open.drain(..open.len().saturating_sub(room));
        self.drawn = open.iter().map(|row| wide(&rest[row.clone()])).collect();
        let mut lines: Vec<String> = open.into_iter().map(|row| styled(rest, row.start, row.end, certain)).collect();
        if let Some(status) = status {
            let status = cut(&printable(status), width);
            self.drawn.push(wide(&status));
            lines.push(format!("{DIM}{status}{PLAIN}"));
        }
        picture += &lines.join(&format!("{ERASE_TO_END_OF_ROW}\r\n"));
        picture += ERASE_TO_END_OF_ROW;
        picture += ERASE_BELOW;
        picture
    }

    /// The utterance is over: its text stays, the cursor is on the row below.
    pub fn finish(&mut self, text: &str, size: Size) -> String {
        let mut picture = self.to_start(size);
        let text = printable(text);
        let width = size.columns.saturating_sub(1).max(1);
        self.settle(&text, text.len(), width, &mut picture);
        let rest = text.get(self.settled..).unwrap_or_default();
        if !rest.is_empty() || self.settled == 0 {
            let _ = write!(picture, "{rest}{ERASE_TO_END_OF_ROW}\r\n");
        }
        picture += ERASE_BELOW;
        *self = Self::default();
        picture
    }

    /// Takes everything that can still change off the screen, so that something else can be written.
    pub fn clear(&mut self, size: Size) -> String {
        let mut picture = self.to_start(size);
        picture += ERASE_BELOW;
        self.drawn.clear();
        picture
    }

    /// Moves to the first row that can be rewritten, on a terminal that may have another size than when it was drawn.
    fn to_start(&self, size: Size) -> String {
        let width = size.columns.max(1);
        let rows: usize = self.drawn.iter().map(|columns| columns.div_ceil(width).max(1)).sum();
        match rows.saturating_sub(1).min(size.rows.saturating_sub(1)) {
            0 => "\r".to_owned(),
            up => format!("\r\x1b[{up}A"),
        }
    }

    /// Writes the rows of certain text that are full for good.
    fn settle(&mut self, text: &str, certain: usize, width: usize, picture: &mut String) {
        let Some(open) = text.get(self.settled..certain) else { return };
        let full = rows(open, width);
        let Some(last) = full.last() else { return };
        for row in &full[..full.len() - 1] {
            let _ = write!(picture, "{}{ERASE_TO_END_OF_ROW}\r\n", &open[row.clone()]);
        }
        self.settled += last.start;
    }
}

/// Columns of a text.
fn wide(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// A row of `text`, plain up to byte `certain` and dim after it.
fn styled(text: &str, start: usize, end: usize, certain: usize) -> String {
    let border = certain.clamp(start, end);
    match (&text[start..border], &text[border..end]) {
        (plain, "") => plain.to_owned(),
        (plain, dim) => format!("{plain}{DIM}{dim}{PLAIN}"),
    }
}

/// As much of a line as fits.
fn cut(line: &str, width: usize) -> String {
    let mut used = 0;
    line.chars()
        .take_while(|letter| {
            used += columns(*letter);
            used <= width
        })
        .collect()
}

/// A meter of ten cells and the level in dB below full scale.
pub fn level_meter(peak: f32) -> String {
    let decibels = (20.0 * peak.max(1e-5).log10()).clamp(-99.0, 0.0);
    // From -60 dB, a quiet room, to full scale.
    let cells = (((decibels + 60.0) / 6.0).round().max(0.0) as usize).min(10);
    format!("[{}{}] {decibels:3.0} dB", "#".repeat(cells), "-".repeat(10 - cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of a terminal as the screen uses. Fails where the cursor would leave it or a row would be overfull.
    struct Terminal {
        size: Size,
        /// Rows since the beginning; those above the last `size.rows` have scrolled away.
        rows: Vec<Vec<(char, bool)>>,
        row: usize,
        column: usize,
        dim: bool,
    }

    impl Terminal {
        fn new(columns: usize, rows: usize) -> Self {
            Self { size: Size { columns, rows }, rows: vec![Vec::new()], row: 0, column: 0, dim: false }
        }

        fn take(&mut self, bytes: &str) {
            let mut letters = bytes.chars().peekable();
            while let Some(letter) = letters.next() {
                match letter {
                    '\r' => self.column = 0,
                    '\n' => {
                        self.row += 1;
                        if self.row == self.rows.len() {
                            self.rows.push(Vec::new());
                        }
                    }
                    '\x1b' => {
                        assert_eq!(letters.next(), Some('['));
                        let mut number = String::new();
                        let command = loop {
                            match letters.next().unwrap() {
                                digit if digit.is_ascii_digit() => number.push(digit),
                                command => break command,
                            }
                        };
                        self.command(command, number.parse().unwrap_or(0));
                    }
                    letter => {
                        assert!(self.column + columns(letter) < self.size.columns, "a full row in {bytes:?}");
                        let row = &mut self.rows[self.row];
                        while row.iter().map(|(c, _)| columns(*c)).sum::<usize>() > self.column {
                            row.pop();
                        }
                        row.push((letter, self.dim));
                        self.column += columns(letter);
                    }
                }
            }
        }

        fn command(&mut self, command: char, number: usize) {
            match (command, number) {
                ('A', up) => {
                    let top = self.rows.len().saturating_sub(self.size.rows);
                    assert!(self.row >= top + up, "{up} rows up from row {} of a screen from {top}", self.row);
                    self.row -= up;
                }
                // The letters written over were dropped as they were written over.
                ('K', 0) => {
                    let mut used = 0;
                    let column = self.column;
                    self.rows[self.row].retain(|(letter, _)| {
                        used += columns(*letter);
                        used <= column
                    });
                }
                ('J', 0) => {
                    self.command('K', 0);
                    self.rows.truncate(self.row + 1);
                }
                ('m', 2) => self.dim = true,
                ('m', 0) => self.dim = false,
                other => panic!("{other:?}"),
            }
        }

        /// As terminals do: rows that are too wide are broken, and the cursor stays with its letter.
        fn resize(&mut self, columns_now: usize) {
            let mut rows = Vec::new();
            for (number, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
                let is_cursors = number == self.row;
                let mut pieces: Vec<Vec<(char, bool)>> = vec![Vec::new()];
                for letter in row {
                    let used: usize = pieces.last().unwrap().iter().map(|(c, _)| columns(*c)).sum();
                    if used + columns(letter.0) > columns_now {
                        pieces.push(Vec::new());
                    }
                    pieces.last_mut().unwrap().push(letter);
                }
                rows.extend(pieces);
                if is_cursors {
                    self.row = rows.len() - 1;
                    self.column = rows[self.row].iter().map(|(c, _)| columns(*c)).sum();
                }
            }
            self.rows = rows;
            self.size.columns = columns_now;
        }

        fn text(&self) -> Vec<String> {
            self.rows.iter().map(|row| row.iter().map(|(letter, _)| letter).collect()).collect()
        }

        fn dim_text(&self) -> String {
            self.rows.iter().flatten().filter(|(_, dim)| *dim).map(|(letter, _)| letter).collect()
        }
    }

    #[test]
    fn certain_text_is_plain_and_tentative_text_dim_above_the_status() {
        let mut terminal = Terminal::new(40, 10);
        let mut screen = Screen::default();
        terminal.take(&screen.draw("seven six", " nine", Some("lag 0.1 s"), terminal.size));
        assert_eq!(terminal.text(), ["seven six nine", "lag 0.1 s"]);
        assert_eq!(terminal.dim_text(), " ninelag 0.1 s");
        terminal.take(&screen.draw("seven six five", "", Some("lag 0.2 s"), terminal.size));
        assert_eq!(terminal.text(), ["seven six five", "lag 0.2 s"]);
        terminal.take(&screen.finish("seven six five go", terminal.size));
        assert_eq!(terminal.text(), ["seven six five go", ""]);
        terminal.take(&screen.draw("", "two", Some("x"), terminal.size));
        assert_eq!(terminal.text(), ["seven six five go", "two", "x"]);
    }

    /// A text growing word by word, with tentative ends that change, in many sizes: the rows stay whole, and in the end
    /// the terminal has the final text and nothing else.
    #[test]
    fn a_growing_text_is_never_doubled_or_torn() {
        let text = "seven 六 nine go 九九九九九九九 extraordinarilylongword e\u{301} 一二 three four. ".repeat(4);
        let text = text.trim_end();
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        for (width, height) in [(12, 3), (20, 4), (33, 6), (80, 24), (200, 2)] {
            let mut terminal = Terminal::new(width, height);
            let mut screen = Screen::default();
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).filter(|at| at % 5 == 0).collect();
            for end in ends {
                let tentative = [" maybe 也许", "", " no"][end % 3];
                let status = (end % 2 == 0).then_some("lag 漢字");
                terminal.take(&screen.draw(&text[..end], tentative, status, terminal.size));
                let shown = terminal.text().join(" ");
                let maybe = shown.matches("maybe").count();
                // On a very low screen its row may be left out.
                let right = if end % 3 == 0 { usize::from(height > 4)..=1 } else { 0..=0 };
                assert!(right.contains(&maybe), "{width}: {maybe} in {shown}");
                if height > 4 {
                    let all = [&text[..end], tentative, status.unwrap_or_default()].concat();
                    assert_eq!(squeeze(&shown.replace("qasr: oh", "")), squeeze(&all), "{width} columns");
                }
                if end % 7 == 0 {
                    terminal.take(&screen.clear(terminal.size));
                    terminal.take("qasr: oh\r\n");
                }
            }
            terminal.take(&screen.finish(text, terminal.size));
            terminal.rows.retain(|row| !row.iter().map(|(c, _)| *c).collect::<String>().starts_with("qasr:"));
            assert_eq!(squeeze(&terminal.text().concat()), squeeze(text), "{width} columns");
            assert_eq!(terminal.dim_text(), "");
        }
    }

    #[test]
    fn a_terminal_that_changes_its_width_keeps_one_copy_of_the_text() {
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        let text = "eight eight four zero three one seven six nine two five go stop yes no left right up ".repeat(2);
        for status in [Some("[#####-----] -30 dB  0.3 s late  19x real time"), None] {
            let mut terminal = Terminal::new(80, 24);
            let mut screen = Screen::default();
            terminal.take("a line that was finished before\r\n");
            for (index, width) in [80, 40, 100, 30, 33, 100, 20, 80].into_iter().enumerate() {
                terminal.resize(width);
                // Some words are certain, more with each step, and the last ones change.
                let certain = &text[..text.len() / 16 * index];
                terminal.take(&screen.draw(certain, " maybe so", status, terminal.size));
                let shown = terminal.text().concat();
                let status = status.map_or(String::new(), |status| cut(status, width - 1));
                let expected = format!("a line that was finished before{certain} maybe so{status}");
                assert_eq!(squeeze(&shown), squeeze(&expected), "{width} columns");
            }
            terminal.resize(35);
            terminal.take(&screen.finish(&text, terminal.size));
            assert_eq!(squeeze(&terminal.text().concat()), squeeze(&format!("a line that was finished before{text}")));
        }
    }

    #[test]
    fn a_text_cannot_command_the_terminal() {
        let mut screen = Screen::default();
        let picture = screen.draw("a\x1b[2Jb", "\rc", None, Size { columns: 80, rows: 24 });
        assert!(!picture.contains("\x1b[2J") && picture.contains("a [2Jb"), "{picture:?}");
    }

    #[test]
    fn the_meter_has_ten_cells() {
        assert_eq!(level_meter(1.0), "[##########]   0 dB");
        assert_eq!(level_meter(0.0), "[----------] -99 dB");
        assert_eq!(level_meter(0.1), "[#######---] -20 dB");
    }
}
