//! The request: which lead goes where, in which format.

use tidings_core::direct::{Direct, Subject};
use tidings_core::lead::{Lead, LeadFormat, Person};
use tidings_wire::lead::{Format, Handoff, Occasion, Options};

use crate::api::App;
use crate::api::form::{Form, Given, nearest};
use crate::api::leads::capture;
use crate::api::problem::{Problem, Result};
use crate::api::webhooks::fields::direct::Draft;

/// What was asked for, as far as it can be judged without knowing the lead.
#[derive(Debug)]
pub(super) struct Asked {
    /// What its owner calls the lead.
    pub(super) name: String,
    pub(super) campaign: Option<String>,
    pub(super) person: Option<Person>,
    format: Format,
    options: Options,
    direct: Direct,
}

pub(super) fn read(app: &App, body: &[u8]) -> Result<Asked> {
    let mut form = Form::parse(body)?;
    let told = capture::read(&mut form);
    if told.name.is_none() {
        form.require("leadId");
    }
    let format = format(&mut form);
    let options = options(&mut form, format);
    if let Some(format) = format {
        check_format(&mut form, format, told.person.as_ref());
    }
    let mut draft = Draft::new(&mut form, app, "lead");
    draft.url("webhookUrl");
    draft.secret("webhookSecret");
    draft.headers();
    draft.retry();
    draft.timeout();
    let direct = draft.finish();
    form.finish()?;
    match (told.name, format, options, direct) {
        (Some(name), Some(format), Some(options), Some(direct)) => {
            let (campaign, person) = (told.campaign, told.person);
            Ok(Asked { name, campaign, person, format, options, direct })
        }
        _ => Err(Problem::invalid_field("", "must be a lead and where it goes")),
    }
}

/// `raw` when none is given, `None` when nobody knows it.
fn format(form: &mut Form<'_>) -> Option<Format> {
    let Given::Value(name) = form.text("format") else { return Some(Format::Raw) };
    let format = Format::named(&name);
    if format.is_none() {
        let names = Format::ALL.map(Format::name);
        let mut detail = format!("is not a known format; known are {}", names.join(", "));
        if let Some(near) = nearest(&name, names.into_iter()) {
            detail = format!("{detail}; did you mean `{near}`?");
        }
        form.refuse("format", detail);
    }
    format
}

/// What the format does not take together with what else was given. A lead that the request does not bring
/// is judged when it is known.
fn check_format(form: &mut Form<'_>, format: Format, person: Option<&Person>) {
    form.adopt(person.and_then(|person| format.missing_in(person)));
    if !format.is_signed() && matches!(form.raw("webhookSecret"), Given::Value(_)) {
        let detail = format!("would sign nothing: the format `{}` has no signature", format.name());
        form.refuse("webhookSecret", detail);
    }
}

/// Of an unknown format nobody knows the options.
fn options(form: &mut Form<'_>, format: Option<Format>) -> Option<Options> {
    let given = form.raw("options").value().map_or("{}", |raw| raw.get());
    match Options::read(format?, given.as_bytes()) {
        Ok(options) => Some(options),
        Err(refused) => {
            form.adopt(refused);
            None
        }
    }
}

impl Asked {
    /// What the delivery of this lead brings along; 422 when the lead lacks what its format requires.
    pub(super) fn direct(&self, lead: &Lead) -> Result<Direct> {
        let occasion = Occasion { event_id: "", timestamp_ms: 0 };
        let (captured, url) = (&lead.captured, &self.direct.url);
        if let Err(refused) = Handoff::new(self.format, captured, &self.options, url, occasion) {
            return Err(Problem::invalid(refused.into_iter().map(Into::into).collect()));
        }
        Ok(Direct {
            subject: Some(Subject::Lead(lead.id)),
            format: Some(LeadFormat(self.format)),
            options: self.options.expose(),
            ..self.direct.clone()
        })
    }
}
