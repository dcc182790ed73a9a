//! OpenVideo's report of an execution that is finished.

use super::EventView;
use super::fields::{Data, Kind, Printed, json, object, text, time};
use crate::canonical::{Order, Unrepresentable};

/// An execution as its source sees it when it owes its report.
#[derive(Debug, Clone, Copy)]
pub struct ExecutionView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its jobs, in the order of the plan.
    pub jobs: &'a [JobView<'a>],
    /// When it began, in Unix milliseconds.
    pub created_ms: i64,
    /// When it was finished, in Unix milliseconds.
    pub completed_ms: i64,
}

/// A job of an execution.
#[derive(Debug, Clone, Copy)]
pub struct JobView<'a> {
    /// Its name in the plan.
    pub id: &'a str,
    /// What it does.
    pub operation: &'a str,
    /// `completed` and `failed` decide the status of the execution; whatever else is neither.
    pub status: &'a str,
    /// Whether it waits for no other job.
    pub is_root: bool,
    /// The `url` of its result.
    pub url: Option<&'a str>,
}

/// The status of an execution: `failed` when any job failed, `completed` when all are, else `partial`.
pub fn status(jobs: &[JobView<'_>]) -> &'static str {
    if jobs.iter().any(|job| job.status == "failed") {
        "failed"
    } else if jobs.iter().all(|job| job.status == "completed") {
        "completed"
    } else {
        "partial"
    }
}

/// The body for an execution.
///
/// `outputs` holds the jobs whose result has a url. `rootUrl` is the url of the job that waits for no
/// other, of several such jobs the first; it is left out when that job has none.
///
/// ```
/// use tidings_wire::body::openvideo::{ExecutionView, JobView, report};
/// let job = |id, is_root, url| JobView { id, operation: "trim", status: "completed", is_root, url };
/// let execution = ExecutionView {
///     id: "exec_1",
///     jobs: &[job("cut", false, None), job("join", true, Some("https://cdn.example.com/1.mp4"))],
///     created_ms: 0,
///     completed_ms: 1_500,
/// };
/// assert_eq!(
///     String::from_utf8_lossy(&report(&execution)),
///     r#"{"executionId":"exec_1","status":"completed","outputs":{"join":{"url":"https://cdn.example.com/1.mp4","operation":"trim"}},"rootUrl":"https://cdn.example.com/1.mp4","createdAt":"1970-01-01T00:00:00.000Z","completedAt":"1970-01-01T00:00:01.500Z"}"#,
/// );
/// ```
pub fn report(execution: &ExecutionView<'_>) -> Vec<u8> {
    let root = execution.jobs.iter().find(|job| job.is_root);
    write(Fields {
        execution_id: text(execution.id),
        status: text(status(execution.jobs)),
        outputs: outputs(execution.jobs),
        root_url: root.and_then(|job| url(job)).map(text),
        created_at: time(execution.created_ms),
        completed_at: time(execution.completed_ms),
    })
}

/// An empty url is none, as in the receivers' own code.
fn url<'a>(job: &JobView<'a>) -> Option<&'a str> {
    job.url.filter(|url| !url.is_empty())
}

fn outputs(jobs: &[JobView<'_>]) -> Printed {
    let mut members = Vec::new();
    for job in jobs {
        let Some(url) = url(job) else { continue };
        let output = object([("url", Some(text(url))), ("operation", Some(text(job.operation)))]);
        members.push([text(job.id), output].join(&b':'));
    }
    let all = [b"{", &members.join(&b',')[..], b"}"].concat();
    // The ids are whatever the plan calls them: two may be the same, and some may look like numbers.
    json(&all, "/outputs", Order::AsSet).expect("texts and objects of texts have a canonical form")
}

/// The body for a webhook that listens to `execution.*`: out of the data of the event, which must have
/// the fields of the body. Data that is such a body already stays as it is.
pub(super) fn from_event(event: &EventView<'_>) -> Result<Vec<u8>, Unrepresentable> {
    let data = Data::read(event.data, Order::AsSet)?;
    let needed = |name| data.required(&[name], Kind::Text);
    Ok(write(Fields {
        execution_id: needed("executionId")?,
        status: needed("status")?,
        outputs: data.required(&["outputs"], Kind::Object)?,
        root_url: data.optional(&["rootUrl"], Kind::Text)?,
        created_at: needed("createdAt")?,
        completed_at: needed("completedAt")?,
    }))
}

struct Fields {
    execution_id: Printed,
    status: Printed,
    outputs: Printed,
    root_url: Option<Printed>,
    created_at: Printed,
    completed_at: Printed,
}

fn write(fields: Fields) -> Vec<u8> {
    object([
        ("executionId", Some(fields.execution_id)),
        ("status", Some(fields.status)),
        ("outputs", Some(fields.outputs)),
        ("rootUrl", fields.root_url),
        ("createdAt", Some(fields.created_at)),
        ("completedAt", Some(fields.completed_at)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{WebhookView, build};
    use crate::canonical::{Why, canonicalize};
    use crate::profile::BodyShape;

    fn job<'a>(id: &'a str, status: &'a str, is_root: bool, url: Option<&'a str>) -> JobView<'a> {
        JobView { id, operation: "trim", status, is_root, url }
    }

    fn shown(jobs: &[JobView<'_>]) -> String {
        let execution =
            ExecutionView { id: "exec_1", jobs, created_ms: 1_000, completed_ms: 2_000 };
        String::from_utf8(report(&execution)).unwrap()
    }

    fn from_data(data: &str) -> Result<String, Unrepresentable> {
        let event = EventView {
            id: "evt_1",
            event_type: "execution.completed",
            timestamp_ms: 0,
            data: data.as_bytes(),
        };
        let webhook = WebhookView { id: "wh_1", name: None };
        let body = build(BodyShape::OpenVideo, &event, &webhook, 1)?;
        Ok(String::from_utf8(body.into_owned()).unwrap())
    }

    #[test]
    fn the_status_of_all() {
        let of = |statuses: &[&str]| {
            let jobs: Vec<_> = statuses.iter().map(|status| job("j", status, true, None)).collect();
            status(&jobs)
        };
        assert_eq!(of(&["completed", "completed"]), "completed");
        assert_eq!(of(&["completed", "failed", "pending"]), "failed");
        assert_eq!(of(&["completed", "running"]), "partial");
        assert_eq!(of(&["cancelled"]), "partial");
        assert_eq!(of(&[]), "completed"); // as `every` of an empty list
    }

    #[test]
    fn the_root_is_the_first_that_waits_for_no_other() {
        let jobs = [
            job("a", "completed", false, Some("https://a")),
            job("b", "completed", true, None),
            job("c", "completed", true, Some("https://c")),
        ];
        assert!(!shown(&jobs).contains("rootUrl"));
        assert!(shown(&jobs[2..]).contains(r#""rootUrl":"https://c","createdAt""#));
        assert!(shown(&[]).contains(r#""outputs":{},"createdAt":"1970-01-01T00:00:01.000Z""#));
    }

    #[test]
    fn outputs_are_in_the_order_of_javascript() {
        let jobs =
            ["b", "10", "9", "b", "__proto__"].map(|id| job(id, "completed", true, Some(id)));
        let body = shown(&jobs);
        let outputs = r#""outputs":{"9":{"url":"9","operation":"trim"},"10":{"#;
        assert!(body.contains(outputs), "{body}");
        assert_eq!(canonicalize(body.as_bytes()).unwrap(), body.as_bytes());
    }

    #[test]
    fn a_body_as_data_stays_as_it_is() {
        let body = shown(&[job("a", "failed", true, Some("https://a")), job("b", "x", true, None)]);
        assert_eq!(from_data(&body).unwrap(), body);
        let rootless = shown(&[]);
        assert_eq!(from_data(&rootless).unwrap(), rootless);
    }

    #[test]
    fn what_is_missing_is_pointed_at() {
        for (data, pointer, why) in [
            ("[]", "/data", Why::Not("an object")),
            (r#"{"executionId":null}"#, "/data/executionId", Why::Missing),
            (r#"{"executionId":"e"}"#, "/data/status", Why::Missing),
            (
                r#"{"executionId":"e","status":"s","outputs":[]}"#,
                "/data/outputs",
                Why::Not("an object"),
            ),
            (r#"{"executionId":"e","status":"s","outputs":{}}"#, "/data/createdAt", Why::Missing),
        ] {
            let error = from_data(data).unwrap_err();
            assert_eq!((error.pointer.as_str(), error.why), (pointer, why), "{data}");
        }
    }
}
