//! The shapes of bodies, by name.

use serde::{Deserialize, Serialize};

/// The shape of a body. What each looks like is told by [`body::build`](crate::body::build).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BodyShape {
    /// `{"type","timestamp","data"}` of Standard Webhooks; the event's bytes are not touched.
    Standard,
    /// The event's bytes alone.
    Raw,
    /// CloudEvents 1.0 in structured mode; the event's bytes are not touched.
    CloudEvents,
    /// CloudEvents 1.0 in binary mode: the event's bytes alone, all else in headers.
    #[serde(rename = "cloudevents-binary")]
    CloudEventsBinary,
    /// The body of the EMP job queue, built.
    Emp,
    /// The body of the AegisX platform, built.
    Aegisx,
    /// OpenVideo's report of a finished execution, built from the data of an `execution.*` event.
    OpenVideo,
    /// ViewCreator's report of a job, built from the data of a `job.*` event.
    ViewCreator,
    /// A lead with its campaign, built from the data of a `lead.*` event.
    Lead,
}

impl BodyShape {
    /// Every shape, by the name that files and requests give it.
    pub const ALL: [(&str, Self); 9] = [
        ("standard", Self::Standard),
        ("raw", Self::Raw),
        ("cloudevents", Self::CloudEvents),
        ("cloudevents-binary", Self::CloudEventsBinary),
        ("emp", Self::Emp),
        ("aegisx", Self::Aegisx),
        ("openvideo", Self::OpenVideo),
        ("viewcreator", Self::ViewCreator),
        ("lead", Self::Lead),
    ];

    /// The name that files and requests give it.
    pub fn name(self) -> &'static str {
        let entry = Self::ALL.iter().find(|(_, shape)| *shape == self);
        entry.expect("every shape is listed").0
    }

    /// Whether the body is built through [`canonical`](crate::canonical) JSON. If not, it holds the
    /// event's bytes as they were published and building it cannot fail.
    pub fn is_built(self) -> bool {
        match self {
            Self::Standard | Self::Raw | Self::CloudEvents | Self::CloudEventsBinary => false,
            Self::Emp | Self::Aegisx | Self::OpenVideo | Self::ViewCreator | Self::Lead => true,
        }
    }

    /// The value of `Content-Type`.
    ///
    /// A receiver of CloudEvents tells structured mode from a body that is merely data by the media
    /// type alone (CloudEvents, HTTP Protocol Binding 1.0, 3.2.1).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json; charset=utf-8",
            _ => "application/json",
        }
    }

    /// Whether requests of this shape own a header, whatever their profile.
    pub fn owns_header(self, name: &str) -> bool {
        self == Self::CloudEventsBinary && is_cloud_event_header(name)
    }
}

/// `ce-…`, the headers of CloudEvents in binary mode (HTTP Protocol Binding 1.0, 3.1.3.1).
pub(crate) fn is_cloud_event_header(name: &str) -> bool {
    name.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case("ce-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_requests_use_the_same_names() {
        for (name, shape) in BodyShape::ALL {
            let json = serde_json::to_string(&shape).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(shape.name(), name);
        }
    }
}
