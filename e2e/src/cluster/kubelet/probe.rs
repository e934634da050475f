//! Startup, readiness and liveness probes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Probes a running container for as long as the future is polled, and tells `report` about
/// (started, ready). Returns why the container has to be restarted.
pub(super) async fn watch(
    container: &Container,
    ip: &str,
    mut report: impl FnMut(bool, bool),
) -> String {
    report(container.startup_probe.is_none(), false);
    if let Some(probe) = &container.startup_probe
        && let Err(error) = startup(probe, container, ip).await
    {
        return format!("startup probe failed: {error:#}");
    }
    report(true, container.readiness_probe.is_none());
    let readiness = async {
        let Some(probe) = &container.readiness_probe else { return std::future::pending().await };
        readiness(probe, container, ip, |ready| report(true, ready)).await
    };
    let liveness = async {
        let Some(probe) = &container.liveness_probe else { return std::future::pending().await };
        liveness(probe, container, ip).await
    };
    tokio::select! { reason = readiness => reason, reason = liveness => reason }
}

async fn startup(probe: &Probe, container: &Container, ip: &str) -> Result<()> {
    let mut failures = 0;
    wait_initially(probe).await;
    loop {
        match once(probe, container, ip).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                failures += 1;
                if failures >= probe.failure_threshold.unwrap_or(3) {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(period(probe)).await;
    }
}

async fn readiness(
    probe: &Probe,
    container: &Container,
    ip: &str,
    mut report: impl FnMut(bool),
) -> String {
    let (mut successes, mut failures) = (0, 0);
    wait_initially(probe).await;
    loop {
        if once(probe, container, ip).await.is_ok() {
            (successes, failures) = (successes + 1, 0);
            if successes >= probe.success_threshold.unwrap_or(1) {
                report(true);
            }
        } else {
            (successes, failures) = (0, failures + 1);
            if failures >= probe.failure_threshold.unwrap_or(3) {
                report(false);
            }
        }
        // A real kubelet also probes once right after the start; a second's look is near enough.
        let pause =
            if successes == 0 { period(probe).min(Duration::from_secs(1)) } else { period(probe) };
        tokio::time::sleep(pause).await;
    }
}

async fn liveness(probe: &Probe, container: &Container, ip: &str) -> String {
    let mut failures = 0;
    wait_initially(probe).await;
    loop {
        match once(probe, container, ip).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                if failures >= probe.failure_threshold.unwrap_or(3) {
                    return format!("liveness probe failed: {error:#}");
                }
            }
        }
        tokio::time::sleep(period(probe)).await;
    }
}

async fn wait_initially(probe: &Probe) {
    tokio::time::sleep(seconds(probe.initial_delay_seconds, 0)).await;
}

fn period(probe: &Probe) -> Duration {
    seconds(probe.period_seconds, 10)
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
}

/// One look.
async fn once(probe: &Probe, container: &Container, ip: &str) -> Result<()> {
    let limit = seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1));
    let look = async {
        if let Some(get) = &probe.http_get {
            let port = port(&get.port, container)?;
            let host = get.host.as_deref().unwrap_or(ip);
            return http(host, port, get.path.as_deref().unwrap_or("/")).await;
        }
        if let Some(socket) = &probe.tcp_socket {
            let port = port(&socket.port, container)?;
            let host = socket.host.as_deref().unwrap_or(ip);
            TcpStream::connect((host, port)).await.context("cannot connect")?;
            return Ok(());
        }
        bail!("container {}: only httpGet and tcpSocket probes are supported", container.name)
    };
    tokio::time::timeout(limit, look).await.context("no answer in time")?
}

fn port(port: &IntOrString, container: &Container) -> Result<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port)
            .with_context(|| format!("container {} has no port {name}", container.name))?,
    };
    u16::try_from(number).with_context(|| format!("{number} is not a port"))
}

/// A GET whose answer's status is 200 to 399.
async fn http(host: &str, port: u16, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect((host, port)).await.context("cannot connect")?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let request = format!(
        "GET {slash}{path} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: kube-probe\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.context("cannot ask")?;
    // "HTTP/1.1 200" is all that matters.
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head).await.context("the answer ended early")?;
    let code = std::str::from_utf8(&head[9..]).ok().and_then(|code| code.parse::<u16>().ok());
    match code {
        Some(200..=399) => Ok(()),
        Some(code) => bail!("HTTP status {code}"),
        None => bail!("the answer is not HTTP"),
    }
}
