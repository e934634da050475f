//! Reading a file that holds several documents, as manifests do.

use std::sync::Arc;

use serde_json::Value;

use super::{Document, Limits, Source, Unreadable, read};

/// Reads every document of a YAML stream, or the one document of a JSON file. Documents that hold
/// nothing but comments are left out. Places count from the beginning of the file.
///
/// # Errors
///
/// Fails with what is wrong with the first document that cannot be read.
pub fn read_stream(
    name: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<Document<Value>>, Unreadable> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return read(name, bytes, limits).map(|document| vec![document]);
    };
    if bytes.len() > limits.max_bytes {
        return read(name, bytes, limits).map(|document| vec![document]);
    }
    let source = Source::new(name, text);
    let mut documents = Vec::new();
    for (first_line, part) in parts(&source.text) {
        let read = read::<Value>(name, part.as_bytes(), limits);
        match read {
            Ok(mut document) => {
                let mut map = document.map.as_ref().clone();
                map.shift_lines(first_line);
                document.map = Arc::new(map);
                document.source = source.clone();
                documents.push(document);
            }
            Err(mut unreadable) => {
                for location in
                    unreadable.problems.iter_mut().filter_map(|problem| problem.location.as_mut())
                {
                    location.line = location.line.saturating_add(first_line);
                }
                unreadable.source = unreadable.source.map(|_| source);
                return Err(unreadable);
            }
        }
    }
    Ok(documents)
}

/// The documents of a stream that say anything, each with the number of lines before it. A line
/// that begins with `---` always begins a document: inside of one, text would be indented.
fn parts(text: &str) -> Vec<(u32, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0_u32, 0);
    let mut push = |from: usize, to: usize, line: u32| {
        let part = &text[from..to];
        if part.lines().any(says_anything) {
            parts.push((line, part));
        }
    };
    for (number, line) in (0_u32..).zip(text.split_inclusive('\n')) {
        let is_marker = |marker: &str| {
            line.strip_prefix(marker)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        if is_marker("---") || is_marker("...") {
            push(start, offset, start_line);
            let bare = line[3..].trim().is_empty() || line[3..].trim_start().starts_with('#');
            (start, start_line) = if bare {
                (offset + line.len(), number.saturating_add(1))
            } else {
                (offset, number)
            };
        }
        offset += line.len();
    }
    push(start, offset, start_line);
    parts
}

fn says_anything(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::super::FieldPath;
    use super::*;

    fn load(text: &str) -> Result<Vec<Document<Value>>, Unreadable> {
        read_stream("m.yaml", text.as_bytes(), &Limits::default())
    }

    fn line_of(document: &Document<Value>, path: &str) -> u32 {
        document.map.nearest(&path.parse::<FieldPath>().unwrap()).line
    }

    #[test]
    fn every_document_is_read_at_its_place() {
        let text = "# first\n---\na: 1\n--- # second\n# nothing\n---\nb:\n  c: 2\n...\n---\nd: |\n  ---\n  x\n";
        let documents = load(text).unwrap();
        assert_eq!(documents.len(), 3);
        assert_eq!(line_of(&documents[0], "a"), 3);
        assert_eq!(line_of(&documents[1], "b.c"), 8);
        assert_eq!(documents[2].value["d"], "---\nx\n");
        assert_eq!(documents[1].source.line(8), Some("  c: 2"));
    }

    #[test]
    fn content_may_stand_beside_the_marker() {
        let documents = load("a: 1\n--- {b: 2}\n").unwrap();
        assert_eq!(documents[1].value["b"], 2);
        assert_eq!(line_of(&documents[1], "b"), 2);
    }

    #[test]
    fn json_is_one_document() {
        let documents = load("{\"a\": 1,\n\"b\": [2]}").unwrap();
        assert_eq!(documents.len(), 1);
        assert_eq!(line_of(&documents[0], "b[0]"), 2);
    }

    #[test]
    fn a_problem_stands_at_its_line_of_the_file() {
        let error = load("a: 1\n---\nb: 2\nb: 3\n").unwrap_err();
        assert!(error.to_string().starts_with("m.yaml:4:1: "), "{error}");
        assert_eq!(error.source.unwrap().line(4), Some("b: 3"));
        let error = read_stream("m.yaml", b"a: \xff", &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    #[test]
    fn nothing_is_no_document() {
        assert!(load("").unwrap().is_empty());
        assert!(load("# only a comment\n---\n").unwrap().is_empty());
    }
}
