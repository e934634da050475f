//! One pod: its containers as processes, and its status.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::environment::Sources;
use super::faults::Fault;
use super::state::{Container, End, Phase, Reporter};
use super::{Shared, probe};
use crate::cluster::process::Process;
use crate::cluster::registry::Image;

/// Pauses between restarts: shorter than a real kubelet's 10 s to 5 min, so that tests see them.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(20);
/// Longest time that a status may go unreported while the API server does not answer.
const RETRY: Duration = Duration::from_millis(500);

/// Told by the kubelet: the grace period, once the pod is to end.
pub(super) type Stop = watch::Receiver<Option<Duration>>;

/// Runs a pod until it is deleted.
pub(super) async fn run(shared: Shared, pod: Pod, ip: String, mut stop: Stop) {
    let specs = pod.spec.as_ref().map(|spec| spec.containers.clone()).unwrap_or_default();
    let first = specs
        .iter()
        .map(|spec| Container::new(&spec.name, spec.image.as_deref().unwrap_or_default()));
    let (states, seen) = watch::channel(first.collect::<Vec<_>>());
    let pod_runs = PodRun { shared: &shared, pod: &pod, ip: &ip, states: &states };
    let containers = async {
        let all =
            specs.iter().enumerate().map(|(at, spec)| pod_runs.container(at, spec, stop.clone()));
        futures::future::join_all(all).await;
        // A pod whose containers have all ended stays until someone deletes it.
        let _ = stop.wait_for(Option::is_some).await;
    };
    tokio::select! {
        () = containers => {}
        () = pod_runs.report(seen) => {}
    }
    pod_runs.delete().await;
}

struct PodRun<'a> {
    shared: &'a Shared,
    pod: &'a Pod,
    ip: &'a str,
    states: &'a watch::Sender<Vec<Container>>,
}

/// Why a started container stopped running.
enum Ended {
    Itself,
    Killed,
    Stopped(Duration),
}

impl PodRun<'_> {
    fn policy(&self) -> &str {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
    }

    fn set(&self, at: usize, change: impl FnOnce(&mut Container)) {
        self.states.send_if_modified(|all| {
            let Some(container) = all.get_mut(at) else { return false };
            let before = container.clone();
            change(container);
            *container != before
        });
    }

    fn wait_because(&self, at: usize, reason: &'static str, message: String) {
        self.set(at, |container| {
            container.phase = Phase::Waiting { reason, message };
            (container.started, container.ready) = (false, false);
        });
    }

    fn faults(&self, digest: &str) -> Vec<Fault> {
        self.shared.faults.of(self.pod.labels(), digest)
    }

    /// Runs one container with its restarts. Returns when it has ended for good.
    async fn container(&self, at: usize, spec: &Spec, mut stop: Stop) {
        let mut back_off = FIRST_BACK_OFF;
        loop {
            let image = tokio::select! {
                image = self.pull(at, spec) => image,
                _ = stop.wait_for(Option::is_some) => return,
            };
            let started = Instant::now();
            let Some(end) = self.once(at, spec, &image, &mut stop).await else { return };
            let again = match self.policy() {
                "Never" => false,
                "OnFailure" => end.code != 0,
                _ => true,
            };
            if stop.borrow().is_some() || !again {
                self.set(at, |container| container.phase = Phase::Terminated(end));
                return;
            }
            if started.elapsed() > LONGEST_BACK_OFF * 2 {
                back_off = FIRST_BACK_OFF;
            }
            self.set(at, |container| {
                container.last = Some(end);
                (container.started, container.ready) = (false, false);
            });
            let message = format!("back-off {} s restarting failed container", back_off.as_secs());
            self.wait_because(at, "CrashLoopBackOff", message);
            tokio::select! {
                () = sleep(back_off) => {}
                _ = stop.wait_for(Option::is_some) => return,
            }
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
            self.set(at, |container| container.restarts += 1);
        }
    }

    /// Waits until the image is there, and no fault keeps it away or slow.
    async fn pull(&self, at: usize, spec: &Spec) -> Image {
        let reference = spec.image.as_deref().unwrap_or_default();
        loop {
            let problem = match self.shared.registry.resolve(reference) {
                Ok(image) => {
                    let faults = self.faults(&image.digest);
                    if !faults.contains(&Fault::ImagePullError) {
                        for fault in faults {
                            if let Fault::SlowStart(delay) = fault {
                                sleep(delay).await;
                            }
                        }
                        return image;
                    }
                    format!("failed to pull image \"{reference}\": i/o timeout")
                }
                Err(problem) => problem,
            };
            self.wait_because(at, "ErrImagePull", problem);
            sleep(FIRST_BACK_OFF).await;
            let message = format!("Back-off pulling image \"{reference}\"");
            self.wait_because(at, "ImagePullBackOff", message);
            sleep(FIRST_BACK_OFF * 2).await;
        }
    }

    /// Starts the container once and waits for its end. `None`: told to end before it ran.
    async fn once(&self, at: usize, spec: &Spec, image: &Image, stop: &mut Stop) -> Option<End> {
        self.set(at, |container| {
            container.image_id = format!("{}@{}", image.repository, image.digest);
            container.digest.clone_from(&image.digest);
        });
        let mut process = loop {
            if stop.borrow().is_some() {
                return None;
            }
            match self.start(spec, image).await {
                Ok(process) => break process,
                Err(error) => {
                    self.wait_because(at, "CreateContainerConfigError", format!("{error:#}"));
                    tokio::select! {
                        () = sleep(FIRST_BACK_OFF) => {}
                        _ = stop.wait_for(Option::is_some) => return None,
                    }
                }
            }
        };
        let started = Timestamp::now();
        self.set(at, |container| container.phase = Phase::Running { since: started });
        let ended = self.watch(at, spec, image, &mut process, stop).await;
        let status = match ended {
            Ended::Itself => process.wait().await,
            Ended::Killed => process.stop(Duration::from_secs(5)).await,
            Ended::Stopped(grace) => self.end(spec, image, &mut process, grace).await,
        };
        let code = status.ok().and_then(|status| status.code()).unwrap_or(137);
        let reason = if code == 0 { "Completed" } else { "Error" };
        Some(End { code, reason, started, finished: Timestamp::now() })
    }

    /// Waits for whatever comes first: its own end, a failed probe, a crash, or the pod's end.
    async fn watch(
        &self,
        at: usize,
        spec: &Spec,
        image: &Image,
        process: &mut Process,
        stop: &mut Stop,
    ) -> Ended {
        let crash = self.faults(&image.digest).into_iter().find_map(|fault| match fault {
            Fault::CrashAfter(delay) => Some(delay),
            _ => None,
        });
        let crash = async {
            match crash {
                Some(delay) => sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        let report = |started, ready| {
            self.set(at, |container| (container.started, container.ready) = (started, ready));
        };
        tokio::select! {
            _ = process.wait() => Ended::Itself,
            _reason = probe::watch(spec, self.ip, report) => Ended::Killed,
            () = crash => Ended::Killed,
            grace = stop.wait_for(Option::is_some) => {
                Ended::Stopped(grace.ok().and_then(|grace| *grace).unwrap_or_default())
            }
        }
    }

    /// Ends a container as a kubelet does: hook, SIGTERM, and SIGKILL when the grace is over.
    async fn end(
        &self,
        spec: &Spec,
        image: &Image,
        process: &mut Process,
        grace: Duration,
    ) -> Result<std::process::ExitStatus> {
        let end = Instant::now() + grace;
        let hook = spec.lifecycle.as_ref().and_then(|cycle| cycle.pre_stop.as_ref());
        let hook = hook.and_then(|hook| hook.sleep.as_ref());
        let mut delay = hook.map_or(0, |hook| u64::try_from(hook.seconds).unwrap_or(0));
        for fault in self.faults(&image.digest) {
            if let Fault::SlowTermination(more) = fault {
                delay += more.as_secs();
            }
        }
        tokio::time::sleep_until((Instant::now() + Duration::from_secs(delay)).min(end)).await;
        process.stop(end.saturating_duration_since(Instant::now())).await
    }

    async fn start(&self, spec: &Spec, image: &Image) -> Result<Process> {
        let namespace = self.pod.namespace().unwrap_or_default();
        let sources = Sources::new(self.shared.client.clone(), &namespace);
        let folder = self.folder();
        let root = folder.join("root");
        std::fs::create_dir_all(&root).context("cannot make the pod's folder")?;
        sources.files(self.pod, spec, &root).await?;
        let variables = sources.variables(self.pod, spec, self.ip).await?;
        let mut words = spec.command.clone().unwrap_or_default().into_iter();
        let program = words.next().map_or_else(|| image.program.path.clone(), PathBuf::from);
        let mut command = Command::new(program);
        let arguments = match (&spec.args, &spec.command) {
            (Some(given), _) => given.clone(),
            (None, Some(_)) => Vec::new(),
            (None, None) => image.program.arguments.clone(),
        };
        if spec.command.is_none() && !image.program.arguments.is_empty() && spec.args.is_some() {
            // Our own program is told by its first argument which image it is.
            command.args(&image.program.arguments);
        }
        command.args(words).args(arguments).current_dir(&root).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(variables);
        command.env("POD_ROOT", &root).env("POD_IP", self.ip).env("POD_NAMESPACE", namespace);
        command.env("POD_NAME", self.pod.name_any()).env("CONTAINER_NAME", &spec.name);
        command.env("POD_LABELS", serde_json::to_string(self.pod.labels())?);
        if let Some(behaviour) = &image.behaviour {
            command.env("BEHAVIOUR", behaviour.to_string());
        }
        Process::start(&spec.name, &folder.join(format!("{}.log", spec.name)), command)
    }

    fn folder(&self) -> PathBuf {
        let namespace = self.pod.namespace().unwrap_or_default();
        self.shared.directory.join(format!("{namespace}_{}", self.pod.name_any()))
    }

    /// Reports the status whenever something of it changes.
    async fn report(&self, mut seen: watch::Receiver<Vec<Container>>) {
        let mut reporter =
            Reporter::new(self.ip.to_owned(), super::NODE_IP.to_owned(), self.policy() == "Always");
        let mut faults = self.shared.faults.changes();
        let mut last = json!(null);
        loop {
            let mut containers = seen.borrow_and_update().clone();
            faults.mark_unchanged();
            for container in &mut containers {
                container.held_back = self.faults(&container.digest).contains(&Fault::NeverReady);
            }
            let status = reporter.status(&containers);
            let reported = status == last || self.patch(&status).await.is_ok();
            if reported {
                last = status;
                tokio::select! {
                    changed = seen.changed() => if changed.is_err() { return },
                    _ = faults.changed() => {}
                }
            } else {
                sleep(RETRY).await;
            }
        }
    }

    async fn patch(&self, status: &serde_json::Value) -> Result<()> {
        let pods = self.api();
        let name = self.pod.name_any();
        // The uid keeps a status from landing on a later pod of the same name.
        let patch = json!({"metadata": {"uid": self.pod.uid()}, "status": status});
        let params = PatchParams::default();
        match pods.patch_status(&name, &params, &Patch::Strategic(patch)).await {
            Ok(_) => Ok(()),
            // Gone, or another pod by now: nobody is interested any more.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.shared.client.clone(), &self.pod.namespace().unwrap_or_default())
    }

    /// Reports the end, and removes the object.
    async fn delete(&self) {
        let states = self.states.borrow().clone();
        let mut reporter =
            Reporter::new(self.ip.to_owned(), super::NODE_IP.to_owned(), self.policy() == "Always");
        let _ = self.patch(&reporter.status(&states)).await;
        let preconditions = Preconditions { uid: self.pod.uid(), resource_version: None };
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        loop {
            match self.api().delete(&self.pod.name_any(), &params).await {
                Err(kube::Error::Api(status)) if !matches!(status.code, 404 | 409) => {}
                Err(kube::Error::Api(_)) | Ok(_) => return,
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
    }
}
