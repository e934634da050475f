//! Reading the folder of a chart.

use std::io::Read;
use std::path::Path;

use backout_gates::chart::File;

/// The deepest folder.
const DEEPEST: usize = 16;
/// The most files.
const MOST_FILES: usize = 5_000;
/// The most bytes in all; packed charts are part of them.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Reads all files of a chart's folder, by path. Symbolic links are refused, because they lead out
/// of what is recorded; folders of version control are left out.
///
/// # Errors
/// Says what cannot be read, or that there is too much of it.
pub fn read_chart(folder: &Path) -> Result<Vec<File>, String> {
    let mut reading = Reading { files: Vec::new(), bytes: 0 };
    reading.folder(folder, "", DEEPEST)?;
    Ok(reading.files)
}

struct Reading {
    files: Vec<File>,
    bytes: u64,
}

impl Reading {
    fn folder(&mut self, folder: &Path, prefix: &str, deeper: usize) -> Result<(), String> {
        let failed = |path: &str, error: std::io::Error| format!("`{path}`: {error}");
        let shown = if prefix.is_empty() { "." } else { prefix };
        if deeper == 0 {
            return Err(format!("`{shown}` is nested over {DEEPEST} folders deep"));
        }
        let entries = std::fs::read_dir(folder).map_err(|error| failed(shown, error))?;
        let mut entries =
            entries.collect::<Result<Vec<_>, _>>().map_err(|error| failed(shown, error))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(format!("a file of `{shown}` has a name that is no text"));
            };
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(|error| failed(&path, error))?;
            if kind.is_symlink() {
                return Err(format!("`{path}` is a symbolic link"));
            }
            if kind.is_dir() {
                if name != ".git" {
                    self.folder(&entry.path(), &format!("{path}/"), deeper - 1)?;
                }
            } else if kind.is_file() {
                self.file(&entry.path(), path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, at: &Path, path: String) -> Result<(), String> {
        let room = MOST_BYTES.saturating_sub(self.bytes);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(at).map_err(|error| format!("`{path}`: {error}"))?;
        file.take(room.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| format!("`{path}`: {error}"))?;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.bytes > MOST_BYTES || self.files.len() >= MOST_FILES {
            return Err(format!(
                "there are more than {MOST_FILES} files or {MOST_BYTES} bytes; name the folder of one \
                 chart"
            ));
        }
        self.files.push(File { path, bytes });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("templates/sub")).unwrap();
        std::fs::create_dir_all(at(".git")).unwrap();
        for path in ["Chart.yaml", "templates/sub/a.yaml", ".git/HEAD", "templates/b.yaml"] {
            std::fs::write(at(path), path).unwrap();
        }
        let files = read_chart(folder.path()).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["Chart.yaml", "templates/b.yaml", "templates/sub/a.yaml"]);
        assert_eq!(files[2].bytes, b"templates/sub/a.yaml");
        std::os::unix::fs::symlink("/etc/passwd", at("x")).unwrap();
        assert_eq!(read_chart(folder.path()).unwrap_err(), "`x` is a symbolic link");
        assert!(read_chart(&at("nowhere")).unwrap_err().starts_with("`.`: "));
    }

    #[test]
    fn a_folder_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/".repeat(DEEPEST + 1))).unwrap();
        assert!(read_chart(folder.path()).unwrap_err().contains("folders deep"));
    }
}
