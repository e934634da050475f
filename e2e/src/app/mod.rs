//! The demo application: an HTTP server whose behaviour a test chooses.

mod behaviour;
mod metrics;

use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

pub use self::behaviour::Behaviour;
use self::behaviour::Pattern;
use self::metrics::Metrics;

/// How long connections are still accepted after SIGTERM, so that endpoints can go first.
const DRAIN: Duration = Duration::from_secs(1);
/// How long requests may take to finish after that.
const FINISH: Duration = Duration::from_secs(10);
/// Longest body of `/control`, in bytes.
const BODY_LIMIT: usize = 16 * 1024;

struct App {
    release: String,
    version: String,
    pod: String,
    config: std::path::PathBuf,
    pattern: Mutex<Pattern>,
    metrics: Mutex<Metrics>,
    ending: AtomicBool,
}

/// Serves until SIGTERM.
///
/// # Errors
/// The address is taken, or a setting in the environment is not what it should be.
pub async fn run() -> Result<()> {
    let setting = |name: &str| std::env::var(name).unwrap_or_default();
    let labels: Value = serde_json::from_str(&setting("POD_LABELS")).unwrap_or_default();
    let label = |name: &str| labels.get(name).and_then(Value::as_str).map(str::to_owned);
    let version = setting("VERSION");
    let behaviour = match setting("BEHAVIOUR").as_str() {
        "" => Behaviour::default(),
        text => serde_json::from_str(text).context("BEHAVIOUR is not what /control takes")?,
    };
    let config = match setting("CONFIG_FILE").as_str() {
        "" => "etc/app/config".to_owned(),
        path => path.trim_start_matches('/').to_owned(),
    };
    let release = label("backout.dev/release").or_else(|| label("app"));
    let app = Arc::new(App {
        release: release.unwrap_or_else(|| version.clone()),
        version,
        pod: setting("POD_NAME"),
        config: Path::new(&setting("POD_ROOT")).join(config),
        pattern: Mutex::new(Pattern::new(behaviour)),
        metrics: Mutex::new(Metrics::new()),
        ending: AtomicBool::new(false),
    });
    let ip = Some(setting("POD_IP")).filter(|ip| !ip.is_empty()).unwrap_or("127.0.0.1".into());
    let port = Some(setting("HTTP_PORT")).filter(|port| !port.is_empty()).unwrap_or("8080".into());
    let address = format!("{ip}:{port}");
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    serve(app, listener).await
}

async fn serve(app: Arc<App>, listener: TcpListener) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot await SIGTERM")?;
    let (end, ended) = watch::channel(false);
    let drain = sleep(Duration::MAX);
    tokio::pin!(drain);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(app.clone(), stream, ended.clone()));
                }
            }
            _ = terminate.recv() => {
                app.ending.store(true, Ordering::Relaxed);
                drain.as_mut().reset(Instant::now() + DRAIN);
            }
            () = &mut drain => break,
        }
    }
    drop(listener);
    drop(ended);
    end.send_replace(true);
    let _ = tokio::time::timeout(FINISH, end.closed()).await;
    Ok(())
}

async fn connection(
    app: Arc<App>,
    stream: tokio::net::TcpStream,
    mut ended: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.answer(request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new());
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = ended.wait_for(|ended| *ended) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

impl App {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/healthz" => self.text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => {
                let ready = !self.ending.load(Ordering::Relaxed) && self.behaviour().ready;
                let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                self.text(code, format!("ready: {ready}\n"))
            }
            "/metrics" => {
                let utilization = self.behaviour().utilization;
                let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
                self.text(StatusCode::OK, metrics.text(utilization))
            }
            "/version" => self.about(StatusCode::OK),
            "/control" => self.control(request).await,
            _ => self.work().await,
        }
    }

    fn behaviour(&self) -> Behaviour {
        self.pattern.lock().unwrap_or_else(PoisonError::into_inner).behaviour.clone()
    }

    /// A request that counts.
    async fn work(&self) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let (fails, latency_ms) = {
            let mut pattern = self.pattern.lock().unwrap_or_else(PoisonError::into_inner);
            (pattern.next_fails(), pattern.behaviour.latency_ms)
        };
        sleep(Duration::from_millis(latency_ms)).await;
        let code = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.count(code.as_u16(), began.elapsed());
        drop(metrics);
        self.about(code)
    }

    fn about(&self, code: StatusCode) -> Response<Full<Bytes>> {
        let config = std::fs::read_to_string(&self.config).ok();
        let body = json!({"version": self.version, "pod": self.pod, "config": config});
        self.text(code, format!("{body}\n"))
    }

    async fn control(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Ok(body) = Limited::new(request.into_body(), BODY_LIMIT).collect().await else {
            return self.text(StatusCode::BAD_REQUEST, "cannot read the body\n".to_owned());
        };
        match serde_json::from_slice::<Behaviour>(&body.to_bytes()) {
            Ok(behaviour) => {
                let mut pattern = self.pattern.lock().unwrap_or_else(PoisonError::into_inner);
                *pattern = Pattern::new(behaviour);
                drop(pattern);
                self.text(StatusCode::OK, "ok\n".to_owned())
            }
            Err(error) => self.text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    }

    fn text(&self, code: StatusCode, body: String) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = code;
        if let Ok(release) = self.release.parse() {
            response.headers_mut().insert("x-release", release);
        }
        response
    }
}
