//! Ids in paths.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use tidings_core::id::{Id, Kind};

use super::problem::{Problem, Result};

/// The id in a path such as `/api/deliveries/{id}`. What is no id of this kind names nothing: 404.
#[derive(Debug)]
pub struct PathId<K: Kind>(pub Id<K>);

impl<K: Kind, S: Send + Sync> FromRequestParts<S> for PathId<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|_| Problem::not_found("what this address names was"))
    }
}

/// Two ids in a path, of a thing and of one that belongs to it.
#[derive(Debug)]
pub struct PathIds<A: Kind, B: Kind>(pub Id<A>, pub Id<B>);

impl<A: Kind, B: Kind, S: Send + Sync> FromRequestParts<S> for PathIds<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let nothing = || Problem::not_found("what this address names was");
        let texts = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((a, b)) = texts.map_err(|_| nothing())?;
        Ok(Self(a.parse().map_err(|_| nothing())?, b.parse().map_err(|_| nothing())?))
    }
}

/// A text in a path: a name that somebody else gave.
#[derive(Debug)]
pub struct PathText(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            // It is not UTF-8, as every name is.
            Err(_) => Err(Problem::not_found("what this address names was")),
        }
    }
}
