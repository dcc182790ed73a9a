//! What the operations make of a field that is left out, and of null.

use crate::api::form::{Form, Given};

/// What a field that is left out or null means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both: the default.
    Create,
    /// Left out: stays. Null is only taken for what is unset already, so that what was read can be
    /// sent back.
    Put,
    /// Left out: stays. Null: back to the default.
    Patch,
    /// Both: the default. What is read is answered to nobody.
    Direct,
}

impl Mode {
    /// Judges null; `unset` says whether the field has its default already.
    pub(super) fn settle<T>(
        self,
        form: &mut Form<'_>,
        name: &str,
        given: Given<T>,
        unset: bool,
    ) -> Given<T> {
        match (given, self) {
            (Given::Null, Self::Create | Self::Direct) => Given::Absent,
            (Given::Null, Self::Put) => {
                if !unset {
                    form.refuse(name, "must not be null; PATCH takes null for the default");
                }
                Given::Absent
            }
            (given, _) => given,
        }
    }

    /// Puts what is given in its place; what is not stays.
    pub(super) fn set<T>(
        self,
        form: &mut Form<'_>,
        name: &str,
        given: Given<T>,
        place: &mut Option<T>,
    ) {
        match self.settle(form, name, given, place.is_none()) {
            Given::Value(value) => *place = Some(value),
            Given::Null => *place = None,
            Given::Absent => {}
        }
    }
}
