//! Commands of people, as annotations of a Release: whoever may change the Release may command its
//! rollout, and the command waits there until someone drives it.

use std::time::Duration;

use backout_core::machine::Command;
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

/// Whether a Release carries a command.
pub(super) fn waits(object: &DynamicObject) -> bool {
    let annotations = object.metadata.annotations.iter().flatten();
    annotations.into_iter().any(|(key, _)| key.starts_with(COMMAND_PREFIX))
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

async fn take(object: &DynamicObject, publisher: &Publisher, handle: &Handle) {
    let annotations = object.metadata.annotations.iter().flatten();
    let commands = annotations
        .filter_map(|(key, value)| Some((key, key.strip_prefix(COMMAND_PREFIX)?, value)));
    for (key, id, text) in commands {
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
            let command = LastCommand {
                id: id.to_owned(),
                command: text.clone(),
                answer,
                at: Timestamp::now().to_string(),
            };
            publisher.answered(command).await;
        }
        let patch = json!({"metadata": {"annotations": {key: null}}});
        if let Err(failure) = publisher.objects().merge(publisher.name(), &patch).await {
            tracing::warn!(release = publisher.name(), failure = %failure.in_full(), "command not taken off");
        }
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
