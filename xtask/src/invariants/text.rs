//! What must not be written in a file, and how long a file may be.

use std::path::Path;

use anyhow::Result;

use super::Report;
use crate::workspace::{read, root, tracked_files};

/// The crates that talk to the person in front of them; fixtures say which test was skipped.
const PROGRAMS: &[&str] = &["crates/backout", "crates/backout-fixtures", "xtask"];

const PRINTS_OR_EXITS: &[&str] = &[
    "dbg!",
    "eprint!",
    "eprintln!",
    "print!",
    "println!",
    "process::abort",
    "process::exit",
    "stderr()",
    "stdout()",
];

/// Where machines keep what is theirs. Written in parts, so that this file does not match.
const MACHINE_PATHS: &[&str] =
    &[concat!("/", "home/"), concat!("/", "root/"), concat!("/", "Users/"), concat!("/", "work/")];

const LONGEST: usize = 900;

pub(super) fn only_the_program_prints() -> Result<Report> {
    let mut seen = 0;
    let mut findings = Vec::new();
    for path in tracked_files()? {
        let is_library = path.starts_with("crates")
            && path.iter().nth(2) == Some("src".as_ref())
            && !PROGRAMS.iter().any(|program| path.starts_with(program));
        if !is_library || !is_rust(&path) || path.ends_with("tests.rs") {
            continue;
        }
        seen += 1;
        for (number, found) in prints_or_exits(&read(&path)?) {
            findings.push(format!("{}:{number}: {found}", path.display()));
        }
    }
    Ok(Report { looked_at: format!("{seen} files of libraries"), findings })
}

/// The numbers of the lines that print or exit, outside tests and comments.
fn prints_or_exits(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut test_module = None;
    let mut after_cfg_test = false;
    for (number, line) in (1..).zip(text.lines()) {
        let indent = line.len() - line.trim_start().len();
        let code = line.trim();
        if let Some(open) = test_module {
            if code == "}" && indent == open {
                test_module = None;
            }
            continue;
        }
        if after_cfg_test && code.ends_with('{') {
            test_module = Some(indent);
        }
        after_cfg_test = code == "#[cfg(test)]";
        if test_module.is_none() && !code.starts_with("//") {
            let matching = PRINTS_OR_EXITS.iter().filter(|word| has_word(code, word));
            found.extend(matching.map(|word| (number, *word)));
        }
    }
    found
}

/// Whether the text has the word, and not only as the end of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let ends_name = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| !ends_name(&text[..at]))
}

pub(super) fn no_machine_paths() -> Result<Report> {
    let files = tracked_files()?;
    let mut findings = Vec::new();
    for path in &files {
        let content = std::fs::read(root().join(path))?;
        for (number, line) in (1..).zip(String::from_utf8_lossy(&content).lines()) {
            if let Some(found) = machine_path(line) {
                findings.push(format!("{}:{number}: {found}", path.display()));
            }
        }
    }
    Ok(Report { looked_at: format!("{} files", files.len()), findings })
}

/// The machine path that a line holds, if it is not the middle of another path.
fn machine_path(line: &str) -> Option<&'static str> {
    let inside = |before: &str| {
        before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '~'))
    };
    let holds = |path: &str| line.match_indices(path).any(|(at, _)| !inside(&line[..at]));
    MACHINE_PATHS.iter().copied().find(|path| holds(path))
}

pub(super) fn no_long_files() -> Result<Report> {
    let mut seen = 0;
    let mut findings = Vec::new();
    for path in tracked_files()?.iter().filter(|path| is_rust(path)) {
        seen += 1;
        let lines = read(path)?.lines().count();
        if lines > LONGEST {
            findings.push(format!("{} has {lines} lines, over {LONGEST}", path.display()));
        }
    }
    Ok(Report { looked_at: format!("{seen} files"), findings })
}

fn is_rust(path: &Path) -> bool {
    path.extension() == Some("rs".as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_exiting_are_found_outside_tests() {
        let text = "\
//! println!(\"in a comment\")
fn a() {
    println!(\"x\");
    std::process::exit(1);
    my_print!(\"x\");
}

#[cfg(test)]
mod tests {
    fn b() {
        println!(\"x\");
    }
}

fn c() {
    let out = io::stdout().lock();
}
";
        let expected = [(3, "println!"), (4, "process::exit"), (16, "stdout()")];
        assert_eq!(prints_or_exits(text), expected);
    }

    #[test]
    fn a_test_module_in_another_file_hides_nothing() {
        let text = "#[cfg(test)]\nmod tests;\nfn a() {\n    dbg!(1);\n}\n";
        assert_eq!(prints_or_exits(text), [(4, "dbg!")]);
    }

    #[test]
    fn machine_paths_are_found_at_their_start_only() {
        let home = MACHINE_PATHS[0];
        for (line, expected) in [
            (format!("see {home}me/project"), Some(home)),
            (format!("\"{home}me\""), Some(home)),
            (format!("https://example.com{home}page"), None),
            (format!("/srv{home}page"), None),
            ("the home/ folder".to_owned(), None),
        ] {
            assert_eq!(machine_path(&line), expected, "{line}");
        }
    }
}
