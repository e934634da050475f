//! What Prometheus answers: series of samples, with warnings.

use std::collections::BTreeMap;

use backout_core::units::Time;
use serde::Deserialize;

/// The labels of a series, the metric's name among them as `__name__`.
pub type Labels = BTreeMap<String, String>;

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was scraped or computed.
    pub at: Time,
    /// The value; it may be NaN or infinite.
    pub value: f64,
}

/// A native histogram at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeSample {
    /// When it was scraped or computed.
    pub at: Time,
    /// All observations.
    pub count: f64,
    /// Its buckets that are not empty, each with its own observations only.
    pub buckets: Vec<NativeBucket>,
}

/// One bucket of a native histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeBucket {
    /// The upper edge, in the metric's unit; infinite in the last bucket.
    pub upper: f64,
    /// Observations in it, and in no other bucket.
    pub count: f64,
}

/// A series with what was asked for of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, in rising order of time.
    pub samples: Vec<Sample>,
    /// Its native histograms, in rising order of time.
    pub histograms: Vec<NativeSample>,
}

/// An answer to a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The series that were found.
    pub series: Vec<Series>,
    /// What the server warns of, such as an incomplete answer.
    pub warnings: Vec<String>,
}

/// What every endpoint answers.
#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    error: Option<String>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// Why there is no answer in what the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The server says what is wrong.
    Told {
        /// Its name for the kind of error, such as `bad_data`.
        kind: String,
        /// Its message.
        message: String,
    },
    /// It is no answer of Prometheus.
    Foreign(String),
}

/// Reads the answer to a query.
///
/// # Errors
/// When the server tells an error, or it is no answer of Prometheus.
pub fn query(body: &[u8]) -> Result<Answer, Unreadable> {
    let (data, warnings) = envelope::<Data>(body)?;
    let series = match data {
        Data::Vector(found) | Data::Matrix(found) => {
            found.into_iter().map(Found::into_series).collect::<Result<_, _>>()?
        }
        Data::Scalar(point) => vec![Series { samples: vec![sample(&point)?], ..Series::default() }],
        Data::String(_) => return Err(foreign("it is a text")),
    };
    Ok(Answer { series, warnings })
}

fn envelope<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<(T, Vec<String>), Unreadable> {
    let told: Envelope<serde::de::IgnoredAny> =
        serde_json::from_slice(body).map_err(|error| foreign(&error.to_string()))?;
    if told.status != "success" {
        return Err(Unreadable::Told {
            kind: told.error_type.unwrap_or_default(),
            message: told.error.unwrap_or_else(|| "the server gives no reason".to_owned()),
        });
    }
    let told: Envelope<T> =
        serde_json::from_slice(body).map_err(|error| foreign(&error.to_string()))?;
    let data = told.data.ok_or_else(|| foreign("it has no data"))?;
    Ok((data, told.warnings))
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Found>),
    Matrix(Vec<Found>),
    Scalar(Point),
    String(serde::de::IgnoredAny),
}

/// Seconds since the epoch, and a number as text.
type Point = (f64, String);

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    metric: Labels,
    value: Option<Point>,
    #[serde(default)]
    values: Vec<Point>,
    histogram: Option<(f64, Histogram)>,
    #[serde(default)]
    histograms: Vec<(f64, Histogram)>,
}

#[derive(Deserialize)]
struct Histogram {
    count: String,
    /// Which edges belong to the bucket, lower edge, upper edge, observations.
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

impl Found {
    fn into_series(self) -> Result<Series, Unreadable> {
        let samples = self.values.iter().chain(&self.value).map(sample);
        let histograms = self.histograms.iter().chain(&self.histogram).map(native);
        Ok(Series {
            samples: samples.collect::<Result<_, _>>()?,
            histograms: histograms.collect::<Result<_, _>>()?,
            labels: self.metric,
        })
    }
}

fn sample(point: &Point) -> Result<Sample, Unreadable> {
    Ok(Sample { at: time(point.0)?, value: number(&point.1)? })
}

fn native((at, histogram): &(f64, Histogram)) -> Result<NativeSample, Unreadable> {
    let buckets = histogram.buckets.iter().map(|(_, _, upper, count)| {
        Ok(NativeBucket { upper: number(upper)?, count: number(count)? })
    });
    Ok(NativeSample {
        at: time(*at)?,
        count: number(&histogram.count)?,
        buckets: buckets.collect::<Result<_, _>>()?,
    })
}

/// Rust reads every number as Go prints it: `1e+01`, `+Inf` and `NaN` included.
fn number(text: &str) -> Result<f64, Unreadable> {
    text.parse().map_err(|_| foreign(&format!("{:?} is no number", text.get(..40).unwrap_or(text))))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is checked to be in range"
)]
fn time(seconds: f64) -> Result<Time, Unreadable> {
    let millis = (seconds * 1e3).round();
    if (0.0..9e15).contains(&millis) {
        Ok(Time::from_millis(millis as u64))
    } else {
        Err(foreign("a time is out of range"))
    }
}

fn foreign(why: &str) -> Unreadable {
    Unreadable::Foreign(why.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vectors_matrices_and_scalars_are_read() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"a","x":"y"},"value":[1700000000.123,"1e+01"]},
            {"metric":{},"value":[1,"+Inf"]}]},"warnings":["slow"]}"#;
        let answer = query(body).unwrap();
        assert_eq!(answer.series[0].labels["x"], "y");
        let at = Time::from_millis(1_700_000_000_123);
        assert_eq!(answer.series[0].samples, [Sample { at, value: 10.0 }]);
        assert!(answer.series[1].samples[0].value.is_infinite());
        assert_eq!(answer.warnings, ["slow"]);
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"x":"y"},"values":[[1,"1"],[2.5,"NaN"]]}]}}"#;
        let samples = &query(body).unwrap().series[0].samples;
        assert_eq!(samples[0].value, 1.0);
        assert!(samples[1].value.is_nan() && samples[1].at == Time::from_millis(2_500));
        let body = br#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        assert_eq!(query(body).unwrap().series[0].samples[0].value, 2.0);
    }

    #[test]
    fn native_histograms_are_read() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"x":"y"},"histograms":[[1,{"count":"3","sum":"1.5",
             "buckets":[[0,"0.5","1","2"],[0,"1","2","1"]]}]]}]}}"#;
        let answer = query(body).unwrap();
        let [histogram] = &answer.series[0].histograms[..] else { panic!("one histogram") };
        assert_eq!(histogram.count, 3.0);
        assert_eq!(histogram.buckets[1], NativeBucket { upper: 2.0, count: 1.0 });
    }

    #[test]
    fn errors_are_told_with_the_servers_message() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"parse error: no"}"#;
        assert_eq!(
            query(body),
            Err(Unreadable::Told { kind: "bad_data".into(), message: "parse error: no".into() })
        );
        for body in [&b"<html>"[..], b"{}", br#"{"status":"success"}"#, b"[1", b""] {
            assert!(matches!(query(body), Err(Unreadable::Foreign(_))), "{body:?}");
        }
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{},"value":[-1,"2"]}]}}"#;
        assert_eq!(query(body), Err(foreign("a time is out of range")));
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in any::<Vec<u8>>(), number in "[-+eE.0-9a-zéN]{0,50}") {
            let _ = query(&body);
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"{number}"]}}}}"#
            );
            let _ = query(body.as_bytes());
        }
    }
}
