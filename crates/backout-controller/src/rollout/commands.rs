//! Commands of people, as annotations of a Release: whoever may change the Release may command its
//! rollout, and the command waits there until someone drives it.

use std::sync::Arc;
use std::time::Duration;

use backout_core::machine::{Command, Machine, State};
use backout_core::plan::Brief;
use backout_judge::Windows;
use backout_world::driver::Handle;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;

use super::Publisher;
use crate::resources::{LastCommand, Resource};

/// Annotations of a Release that command its rollout begin with this; an id of the sender's choice
/// follows.
pub const COMMAND_PREFIX: &str = "backout.dev/command-";

/// Longest time that a command may wait for its answer.
const LIMIT: Duration = Duration::from_secs(60);

/// The annotation that gives a command.
#[must_use]
pub fn annotation(id: &str, command: &Command) -> (String, String) {
    (format!("{COMMAND_PREFIX}{id}"), command.to_string())
}

/// The command of this name.
#[must_use]
pub fn parse_command(text: &str) -> Option<Command> {
    use Command::{Abort, Pause, Promote, Resume, Rollback, Seal};
    [Promote, Pause, Resume, Abort, Rollback, Seal]
        .into_iter()
        .find(|command| command.to_string() == text)
}

/// Passes the commands on that the Release carries, and takes them off it.
pub(super) async fn listen(client: Client, publisher: Publisher, handle: Handle) {
    let resource = Resource::Release.api();
    let namespace = publisher.objects().namespace().to_owned();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    let named = watcher::Config::default().fields(&format!("metadata.name={}", publisher.name()));
    let mut events = std::pin::pin!(watcher(api, named).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                take(&object, &publisher, &handle).await;
            }
            Ok(watcher::Event::Delete(_) | watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(error) => tracing::debug!(%error, "the watch of a Release broke and is begun anew"),
        }
    }
}

/// The command that rouses a run that is at rest, if the Release carries one. What the engine
/// refuses is answered here, because nobody would drive the run to answer it.
pub(super) async fn rousing(
    object: &DynamicObject,
    publisher: &Publisher,
    brief: &Arc<Brief>,
    state: &State,
) -> Option<(String, Command)> {
    let machine = Machine::restore(Arc::clone(brief), state.clone(), Arc::new(Windows)).ok()?;
    let mut refused = Vec::new();
    for (key, id, text) in carried(object) {
        if publisher.has_answered(id).await {
            continue;
        }
        match parse_command(text).map(|command| (machine.permits(&command), command)) {
            // The listener answers this one, and all that are beside it.
            Some((Ok(()), command)) => return Some((id.to_owned(), command)),
            Some((Err(why), _)) => refused.push((key, id, text, format!("refused: {why}"))),
            None => refused.push((key, id, text, format!("`{text}` is no command"))),
        }
    }
    for (key, id, text, answer) in refused {
        publisher.answered(last_command(id, text, answer)).await;
        // What is said is published before the command is taken off, or else it is asked again.
        if publisher.publish(state).await.is_ok() {
            take_off(key, publisher).await;
        }
    }
    None
}

/// The commands that a Release carries: key, id and text.
fn carried(object: &DynamicObject) -> impl Iterator<Item = (&String, &str, &String)> {
    let annotations = object.metadata.annotations.iter().flatten();
    annotations.filter_map(|(key, value)| Some((key, key.strip_prefix(COMMAND_PREFIX)?, value)))
}

fn last_command(id: &str, text: &str, answer: String) -> LastCommand {
    let at = Timestamp::now().to_string();
    LastCommand { id: id.to_owned(), command: text.to_owned(), answer, at }
}

async fn take_off(key: &str, publisher: &Publisher) {
    let patch = json!({"metadata": {"annotations": {key: null}}});
    if let Err(failure) = publisher.objects().merge(publisher.name(), &patch).await {
        tracing::warn!(release = publisher.name(), failure = %failure.in_full(), "command not taken off");
    }
}

async fn take(object: &DynamicObject, publisher: &Publisher, handle: &Handle) {
    for (key, id, text) in carried(object) {
        if !publisher.has_answered(id).await {
            let answer = match parse_command(text) {
                None => format!("`{text}` is no command"),
                Some(command) => {
                    match tokio::time::timeout(LIMIT, handle.command(id, command)).await {
                        Ok(Ok(())) => "taken".to_owned(),
                        Ok(Err(why)) => format!("refused: {why}"),
                        Err(_) => {
                            "no answer; look at the status before it is given again".to_owned()
                        }
                    }
                }
            };
            publisher.answered(last_command(id, text, answer)).await;
        }
        take_off(key, publisher).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_they_are_written() {
        for command in [Command::Promote, Command::Pause, Command::Seal] {
            let (key, text) = annotation("1a", &command);
            assert_eq!(key, "backout.dev/command-1a");
            assert_eq!(parse_command(&text), Some(command));
        }
        assert_eq!(parse_command("explode"), None);
    }
}
