use std::time::Instant;

use super::*;

fn shell(script: &str) -> Program {
    Program::new(["/bin/sh", "-c", script]).grace(Duration::from_millis(200))
}

#[tokio::test]
async fn output_and_status_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ended = shell("echo $GREETING; pwd; echo bad >&2; read line; exit 3")
        .env("GREETING", "hello")
        .dir(dir.path())
        .run()
        .await
        .unwrap();
    assert_eq!(ended.status.and_then(|status| status.code()), Some(3));
    assert!(!ended.is_success() && !ended.timed_out);
    assert_eq!(ended.stdout_tail.last_lines(5)[0], "hello");
    assert_eq!(ended.stderr_tail.last_lines(5), ["bad"]);
    assert_eq!(ended.how(), "ended with status 3");
    assert!(shell("true").run().await.unwrap().is_success());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let error = Program::new(["/nowhere/at-all"]).run().await.unwrap_err();
    assert!(error.to_string().starts_with("`/nowhere/at-all` cannot be started"), "{error}");
}

/// The ids of processes that have a mark in their command line.
fn marked(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(mark)).count()
}

#[tokio::test]
async fn the_whole_group_ends_with_its_time() {
    let mark = "86411.25";
    let begun = Instant::now();
    let script = format!("trap '' TERM; sleep {mark} & sleep {mark}; sleep {mark}");
    let ended = shell(&script).within(Duration::from_millis(300)).run().await.unwrap();
    assert!(ended.timed_out && !ended.is_success());
    assert!(begun.elapsed() < Duration::from_secs(20));
    gone(mark).await;
}

/// Killed processes are reaped by somebody else, in their own time.
async fn gone(mark: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while marked(mark) > 0 {
        assert!(Instant::now() < until, "processes are left behind");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_ended() {
    let mark = "86412.25";
    let ended = shell(&format!("sleep {mark} & echo done")).run().await.unwrap();
    assert!(ended.is_success());
    assert_eq!(ended.stdout_tail.last_lines(1), ["done"]);
    gone(mark).await;
}

#[tokio::test]
async fn a_dropped_run_ends_its_group() {
    let mark = "86413.25";
    let program = shell(&format!("sleep {mark} & sleep {mark}"));
    let run = tokio::spawn(program.run());
    let until = Instant::now() + Duration::from_secs(10);
    while marked(mark) < 2 {
        assert!(Instant::now() < until, "it never began");
        sleep(Duration::from_millis(5)).await;
    }
    run.abort();
    let _ = run.await;
    gone(mark).await;
}

#[tokio::test]
async fn output_is_bounded() {
    let ended = shell("yes | head -c 300000; echo end").keeping(1000).run().await.unwrap();
    assert!(ended.stdout_tail.is_cut() && ended.stdout_tail.written() > 300_000);
    assert_eq!(ended.stdout_tail.last_lines(1), ["end"]);
    assert_eq!(ended.stdout_tail.into_bytes().len(), 1000);
    let ended = shell("yes").writing_at_most(100_000).run().await.unwrap();
    assert!(ended.wrote_too_much && !ended.is_success());
}

#[tokio::test]
async fn only_the_wanted_environment_is_passed_on() {
    let ended = shell("env").env_only(&["PATH"]).env("A", "b").run().await.unwrap();
    let lines = ended.stdout_tail.last_lines(100);
    assert!(lines.contains(&"A=b".to_owned()));
    assert!(!lines.iter().any(|line| line.starts_with("HOME=") || line.starts_with("CARGO")));
}
