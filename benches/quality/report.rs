//! What a section found: to the terminal, as CSV, and as its part of docs/quality.md.
//!
//! A section that was not run keeps what it said before. Runs on tuning seeds are printed and
//! never written.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A table: the same rows in Markdown and in CSV.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Name of its CSV file.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Said below it; may be empty.
    pub(crate) note: String,
}

impl Table {
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> = self.header.iter().map(|_| "---".to_owned()).collect();
        let mut text = format!("**{}**\n\n{}{}", self.title, line(&self.header), line(&rule));
        for row in &self.rows {
            text.push_str(&line(row));
        }
        if !self.note.is_empty() {
            let _ = write!(text, "\n{}\n", self.note);
        }
        text
    }

    fn csv(&self) -> String {
        csv(std::iter::once(&self.header).chain(&self.rows))
    }
}

/// A drawing for the page.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// Name of its file, without the ending.
    pub(crate) id: String,
    /// What it shows, for those who cannot see it.
    pub(crate) alt: String,
    pub(crate) svg: String,
}

/// Everything that one section has to say.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    id: &'static str,
    title: &'static str,
    /// What was measured, on what, with which seeds.
    pub(crate) prose: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) pictures: Vec<Picture>,
    /// Where others are better or a promise is not kept.
    pub(crate) caveats: Vec<String>,
    /// Rows of the README's table: what, and how much.
    pub(crate) summary: Vec<(String, String)>,
}

/// Sections in the order in which the page has them.
const ORDER: [&str; 9] =
    ["budget", "delay", "joint", "incidents", "causes", "known", "breakdown", "robustness", "cost"];
const PAGE: &str = "docs/quality.md";
const FOLDER: &str = "docs/quality";
const SUMMARY: &str = "docs/quality/summary.csv";
const INTRODUCTION: &str = "# Quality\n\nWhat was measured, with fixed seeds. `cargo bench \
    --bench quality` writes this page, its tables as CSV and its pictures; `-- delay joint` \
    renews only these sections, `--data DIR` names a folder with the real data sets. `cargo \
    bench --bench cost` writes the last section. Constants were chosen on seeds 1 to 99, these \
    figures are from seeds 1001 and up; those of robustness from 2001 and up, because 1001 was \
    looked at while it was built.\n\nThe simulated series, the lab and its faults were written \
    by the people who wrote the detector and its causes. Figures from them say that the program \
    does what it was built to do, and compare it with others on equal terms; only those marked \
    asd, RobustSpot, PetShop and RootCauseBench are from data that somebody else recorded or \
    reconstructed.\n";

impl Part {
    /// A section with nothing in it yet.
    pub(crate) fn new(id: &'static str, title: &'static str) -> Self {
        Self {
            id,
            title,
            prose: String::new(),
            tables: Vec::new(),
            pictures: Vec::new(),
            caveats: Vec::new(),
            summary: Vec::new(),
        }
    }

    fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n", self.title, self.prose.trim_end());
        for table in &self.tables {
            let _ = write!(text, "\n{}", table.markdown());
        }
        for picture in &self.pictures {
            let _ = write!(text, "\n![{}](quality/{}.svg)\n", picture.alt, picture.id);
        }
        text.push_str("\n### Where we are not first\n\n");
        if self.caveats.is_empty() {
            text.push_str("Nowhere in these tables.\n");
        }
        for caveat in &self.caveats {
            let _ = writeln!(text, "- {caveat}");
        }
        text
    }

    /// Prints the section and, unless it is only for looking at, writes its files and its place
    /// on the pages.
    pub(crate) fn publish(&self, only_print: bool) {
        let text = self.markdown();
        println!("{text}");
        if only_print {
            eprintln!("{}: nothing written", self.id);
            return;
        }
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(root.join(FOLDER)).unwrap();
        for table in &self.tables {
            fs::write(root.join(FOLDER).join(format!("{}.csv", table.id)), table.csv()).unwrap();
        }
        for picture in &self.pictures {
            let path = root.join(FOLDER).join(format!("{}.svg", picture.id));
            fs::write(path, &picture.svg).unwrap();
        }
        let page = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
        fs::write(root.join(PAGE), assemble(&page, self.id, &text)).unwrap();
        self.summarise(&root);
    }

    /// Renews this section's rows of the README's table.
    fn summarise(&self, root: &Path) {
        let earlier = fs::read_to_string(root.join(SUMMARY)).unwrap_or_default();
        let mut rows: Vec<Vec<String>> = earlier.lines().map(fields).collect();
        rows.retain(|row| row.len() == 3 && row[0] != self.id);
        let own = self.summary.iter();
        rows.extend(own.map(|(what, much)| vec![self.id.to_owned(), what.clone(), much.clone()]));
        rows.sort_by_key(|row| place(&row[0]));
        fs::write(root.join(SUMMARY), csv(rows.iter())).unwrap();
        let mut table = "\n| measured | result |\n| --- | --- |\n".to_owned();
        for row in &rows {
            let _ = writeln!(table, "| {} | {} |", row[1], row[2]);
        }
        let readme = root.join("README.md");
        let text = fs::read_to_string(&readme).unwrap();
        let (open, close) = ("<!-- quality -->", "<!-- /quality -->");
        let new = between(&text, open, close, &table).expect("README.md has the quality markers");
        fs::write(readme, new).unwrap();
    }
}

fn place(id: &str) -> usize {
    ORDER.iter().position(|known| *known == id).unwrap_or(ORDER.len())
}

fn markers(id: &str) -> (String, String) {
    (format!("<!-- section {id} -->"), format!("<!-- /section {id} -->"))
}

/// The page with one section renewed, the others as they were, all in order.
fn assemble(page: &str, id: &str, text: &str) -> String {
    let mut all = INTRODUCTION.to_owned();
    for known in ORDER {
        let (open, close) = markers(known);
        let earlier = || {
            let (_, rest) = page.split_once(&open)?;
            rest.split_once(&close).map(|(inner, _)| inner.trim())
        };
        let inner = if known == id { Some(text.trim()) } else { earlier() };
        if let Some(inner) = inner {
            let _ = write!(all, "\n{open}\n\n{inner}\n\n{close}\n");
        }
    }
    all
}

/// The text with what lies between two markers replaced; none without them.
fn between(text: &str, open: &str, close: &str, inner: &str) -> Option<String> {
    let (before, rest) = text.split_once(open)?;
    let (_, after) = rest.split_once(close)?;
    Some(format!("{before}{open}\n{inner}\n{close}{after}"))
}

fn csv<'a>(rows: impl Iterator<Item = &'a Vec<String>>) -> String {
    let quoted = |cell: &String| {
        if cell.contains([',', '"', '\n']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    };
    let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
    rows.map(|row| line(row) + "\n").collect()
}

/// The fields of one line of CSV.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                fields.last_mut().unwrap().push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}
