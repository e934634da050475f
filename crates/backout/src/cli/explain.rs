//! `backout explain`: a run in words, from its journal.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use backout_controller::rollout;
use backout_core::journal::{Entry, FORMAT, Header};
use backout_world::driver::Journal;
use serde::Deserialize;

use super::Output;
use super::live::{Connection, block_on, release_name};
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::project::files;
use crate::render::live::explain::Explained;
use crate::render::timeline::Timeline;
use crate::report::json::document;
use crate::terminal::Terminal;

/// A larger journal is not one of a rollout.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A longer line is not one of a journal.
const MOST_LINE: usize = 1024 * 1024;

/// Tells a run in words: what happened, what the engine believed, and why it acted.
///
/// Takes a journal that `backout simulate --journal PATH` wrote, or the release of a rollout in a
/// cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The journal, `-` for standard input, or a release of the cluster, by name or as
    /// `release/NAME`. A file of that name comes first, unless the cluster is named.
    #[arg(value_name = "JOURNAL|NAME")]
    subject: PathBuf,
    /// Form of the result. `jsonl` is the journal itself for a release of the cluster.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let text = match release_of(&arguments.subject, &arguments.connection) {
        Some(release) => of_release(arguments, &release, terminal)?,
        None => of_file(arguments)?,
    };
    terminal.print(&text)?;
    Ok(Exit::Pass)
}

/// The release that is meant, if it is one.
fn release_of(subject: &Path, connection: &Connection) -> Option<String> {
    let is_file = files::is_stdin(subject) || subject.exists();
    if is_file && !connection.is_named() {
        return None;
    }
    let name = release_name(subject.to_str()?).ok()?;
    // A name that ends like a journal's is meant as one.
    let looks_like_file = subject.extension().is_some_and(|it| it == "jsonl" || it == "json");
    (!looks_like_file || connection.is_named()).then_some(name)
}

fn of_release(
    arguments: &Arguments,
    release: &str,
    terminal: &Terminal,
) -> Result<String, Failure> {
    let (namespace, journal) = block_on(async {
        let cluster = arguments.connection.cluster(None).await?;
        let journal = rollout::journal(&cluster.client, &cluster.namespace, release).await;
        let journal = journal.map_err(|failure| {
            let help = failure.help.unwrap_or_else(|| {
                format!(
                    "`backout status -n {}` lists the releases; there is no file `{release}` either",
                    cluster.namespace
                )
            });
            let told = format!("the journal of release {}/{release}: ", cluster.namespace);
            Failure::cluster(told + &failure.message, help)
        })?;
        Ok((cluster.namespace, journal))
    })?;
    if !arguments.connection.is_named() {
        terminal.complain(&format!("release {namespace}/{release}: no file has this name\n"));
    }
    let Journal { header, entries } = journal;
    if arguments.output == Output::Jsonl {
        return raw(&header, &entries);
    }
    explained(header, &entries, arguments.output)
}

/// A journal as a file has it: its head, then an entry per line.
fn raw(header: &Header, entries: &[Entry]) -> Result<String, Failure> {
    let mut text = document(header, Output::Jsonl)?.unwrap_or_default();
    for entry in entries {
        text.push_str(&document(entry, Output::Jsonl)?.unwrap_or_default());
    }
    Ok(text)
}

fn explained(header: Header, entries: &[Entry], output: Output) -> Result<String, Failure> {
    let explained = Explained::of(header, entries);
    Ok(document(&explained, output)?.unwrap_or_else(|| explained.render()))
}

fn of_file(arguments: &Arguments) -> Result<String, Failure> {
    let subject = &arguments.subject;
    let name = if files::is_stdin(subject) { "<stdin>".to_owned() } else { files::shown(subject) };
    let bytes = read(subject).map_err(|source| Failure::File { path: name.clone(), source })?;
    let (header, entries) = parse(&name, &bytes)?;
    if header.live.is_some() {
        return explained(header, &entries, arguments.output);
    }
    let timeline = Timeline::of(header, &entries);
    Ok(document(&timeline, arguments.output)?.unwrap_or_else(|| timeline.render()))
}

/// Reads one byte more than a journal may have, so that a larger one is known. Pipes are read as
/// well: a journal may come from a shell's `<(…)`.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if files::is_stdin(path) {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn parse(name: &str, bytes: &[u8]) -> Result<(Header, Vec<Entry>), Failure> {
    if bytes.len() > MOST_BYTES {
        return Err(Failure::usage(
            format!("{name} has more than {} MiB", MOST_BYTES / 1024 / 1024),
            "check that this is the journal of one run",
        ));
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines = bytes.split(|byte| *byte == b'\n').zip(1_usize..);
    let (first, _) = lines.next().unwrap_or_default();
    let header = header(name, first)?;
    let entries = lines.map(|(line, number)| parse_line(name, number, line));
    Ok((header, entries.collect::<Result<_, _>>()?))
}

/// The first line. Its format is looked at before anything else of it is believed.
fn header(name: &str, line: &[u8]) -> Result<Header, Failure> {
    #[derive(Deserialize)]
    struct Formatted {
        format: String,
    }
    let Ok(Formatted { format }) = serde_json::from_slice(line.get(..MOST_LINE).unwrap_or(line))
    else {
        return Err(Failure::usage(
            format!("{name}:1: this is not a journal: its first line names no `format`"),
            "name a file that `backout simulate --journal PATH` wrote",
        ));
    };
    if format != FORMAT {
        return Err(Failure::usage(
            format!("{name}:1: the journal has format `{format}`, this version reads `{FORMAT}`"),
            "use the version of backout that wrote the journal",
        ));
    }
    parse_line(name, 1, line)
}

fn parse_line<T: for<'a> Deserialize<'a>>(
    name: &str,
    number: usize,
    line: &[u8],
) -> Result<T, Failure> {
    let broken = |why: String| {
        Failure::usage(
            format!("{name}:{number}: {why}"),
            "the line is damaged or was cut off; the lines above it are sound, and can be read as \
             a journal of their own",
        )
    };
    if line.len() > MOST_LINE {
        return Err(broken(format!("the line has more than {} KiB", MOST_LINE / 1024)));
    }
    serde_json::from_slice(line).map_err(|error| {
        // The line is the journal's, not the one that the parser counts.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        broken(format!("not an entry of a journal, at column {}: {message}", error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"format":"backout.dev/journal/v1alpha1","policy":"checkout","environment":"production","stable":{"name":"a","version":"1","set":"a-1"},"candidate":{"name":"b","version":"2","set":"b-2"},"strategy":"blue/green"}"#;

    fn refused(text: impl AsRef<[u8]>) -> String {
        parse("run.jsonl", text.as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn a_file_comes_before_a_release_unless_the_cluster_is_named() {
        let release = |subject: &str, words: &[&str]| {
            #[derive(clap::Parser)]
            struct Words {
                #[command(flatten)]
                connection: Connection,
            }
            let words = ["backout"].iter().chain(words);
            let Words { connection } = clap::Parser::try_parse_from(words).unwrap();
            release_of(Path::new(subject), &connection)
        };
        assert_eq!(release("-", &[]), None);
        assert_eq!(release(env!("CARGO_MANIFEST_DIR"), &[]), None);
        assert_eq!(release("nothing.jsonl", &[]), None);
        let name = Some("checkout-1.42.0".to_owned());
        assert_eq!(release("checkout-1.42.0", &[]), name);
        assert_eq!(release("release/checkout-1.42.0", &["-n", "shop"]), name);
        assert_eq!(release("src", &["-n", "shop"]), Some("src".to_owned()));
        assert_eq!(release("../x.jsonl", &["-n", "shop"]), None);
    }

    #[test]
    fn a_journal_that_is_printed_can_be_read() {
        let entry = r#"{"at":1,"event":{"world":{"what":"a"}}}"#;
        let text = format!("{HEADER}\n{entry}\n");
        let (header, entries) = parse("run.jsonl", text.as_bytes()).unwrap();
        let printed = raw(&header, &entries).unwrap();
        assert_eq!(parse("printed", printed.as_bytes()).unwrap(), (header, entries));
    }

    #[test]
    fn a_header_alone_is_a_journal() {
        for text in [HEADER.to_owned(), format!("{HEADER}\n")] {
            let (header, entries) = parse("run.jsonl", text.as_bytes()).unwrap();
            assert_eq!((header.strategy.as_str(), entries.len()), ("blue/green", 0));
        }
    }

    #[test]
    fn an_unknown_format_is_refused_before_it_is_read() {
        let newer = HEADER.replace("v1alpha1", "v2").replace("strategy", "plan");
        insta::assert_snapshot!(refused(newer), @"run.jsonl:1: the journal has format `backout.dev/journal/v2`, this version reads `backout.dev/journal/v1alpha1`");
        for text in ["", "\n", "hello", "{}", "[1]", r#"{"format":1}"#] {
            assert!(refused(text).contains("not a journal"), "{text}");
        }
    }

    #[test]
    fn a_broken_line_is_named() {
        for (line, told) in [
            (r#"{"at":1,"event":{"world":{"what":"a"#, "EOF"),
            (r#"{"at":1,"event":{"worlds":{"what":"a"}}}"#, "unknown variant `worlds`"),
            (r#"{"at":1,"event":{"world":{"what":"a","why":"b"}}}"#, "unknown field `why`"),
            (r#"{"at":-1,"event":{"world":{"what":"a"}}}"#, "invalid value"),
            ("", "EOF"),
        ] {
            let good = r#"{"at":1,"event":{"world":{"what":"a"}}}"#;
            let message = refused(format!("{HEADER}\n{good}\n{line}\n"));
            assert!(message.starts_with("run.jsonl:3: not an entry"), "{message}");
            assert!(message.contains(told) && !message.contains("line 1"), "{message}");
        }
        assert!(refused([HEADER.as_bytes(), b"\n\xff\xfe"].concat()).starts_with("run.jsonl:2: "));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let long = format!("{HEADER}\n{}", " ".repeat(MOST_LINE + 1));
        assert!(refused(long).contains("run.jsonl:2: the line has more than 1024 KiB"));
        assert!(refused(vec![b'\n'; MOST_BYTES + 1]).contains("more than 64 MiB"));
        let deep = format!("{HEADER}\n{}", "[".repeat(MOST_LINE));
        assert!(refused(deep).starts_with("run.jsonl:2: "));
    }
}
