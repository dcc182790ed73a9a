//! Values and rows of shared queries: the least that SQLite and PostgreSQL have in common.
//!
//! A query is bound by position and read by position, left to right, so that the same text and the
//! same code serve both databases.

use tidings_core::delivery::Status;
use tidings_core::id::Id;
use tidings_core::time::Timestamp;

use crate::error::ReadError;

/// One value of a row or an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Int(i64),
    Text(Box<str>),
    Blob(Box<[u8]>),
}

macro_rules! from {
    ($($type:ty, $value:ident => $made:expr;)*) => {
        $( impl From<$type> for Value { fn from($value: $type) -> Self { $made } } )*
    };
}

from! {
    i64, v => Self::Int(v);
    u32, v => Self::Int(i64::from(v));
    u16, v => Self::Int(i64::from(v));
    u64, v => Self::Int(i64::try_from(v).unwrap_or(i64::MAX));
    bool, v => Self::Int(i64::from(v));
    &str, v => Self::Text(v.into());
    String, v => Self::Text(v.into());
    &[u8], v => Self::Blob(v.into());
    Vec<u8>, v => Self::Blob(v.into());
    Timestamp, v => Self::Int(v.as_millis());
    Status, v => Self::Int(v.code());
}

impl<K> From<Id<K>> for Value {
    fn from(id: Id<K>) -> Self {
        Self::Int(id.as_i64())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// Its values, to be taken from left to right.
    #[must_use]
    pub fn fields(self) -> Fields {
        Fields(self.0.into_iter())
    }
}

/// What is left of a row.
#[derive(Debug)]
pub struct Fields(std::vec::IntoIter<Value>);

impl Fields {
    /// The next value.
    pub fn take<T: Field>(&mut self) -> Result<T, ReadError> {
        T::read(self.0.next()).ok_or(ReadError::Inconsistent(std::any::type_name::<T>()))
    }
}

/// What a value can be read as.
pub trait Field: Sized {
    fn read(value: Option<Value>) -> Option<Self>;
}

impl Field for i64 {
    fn read(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Int(int)) = value { Some(int) } else { None }
    }
}

impl Field for String {
    fn read(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Text(text)) = value { Some(text.into()) } else { None }
    }
}

impl Field for Box<str> {
    fn read(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Text(text)) = value { Some(text) } else { None }
    }
}

impl Field for Vec<u8> {
    fn read(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Blob(bytes)) = value { Some(bytes.into()) } else { None }
    }
}

macro_rules! fields_of_int {
    ($($type:ty: $int:ident => $made:expr;)*) => {
        $( impl Field for $type {
            fn read(value: Option<Value>) -> Option<Self> {
                i64::read(value).and_then(|$int| $made)
            }
        } )*
    };
}

fields_of_int! {
    u8: int => int.try_into().ok();
    u16: int => int.try_into().ok();
    u32: int => int.try_into().ok();
    u64: int => int.try_into().ok();
    Timestamp: int => Some(Timestamp::from_millis(int));
    Status: int => Status::from_code(int);
}

impl<K> Field for Id<K> {
    fn read(value: Option<Value>) -> Option<Self> {
        i64::read(value).map(Id::from_i64)
    }
}

impl<T: Field> Field for Option<T> {
    fn read(value: Option<Value>) -> Option<Self> {
        match value {
            Some(Value::Null) => Some(None),
            other => T::read(other).map(Some),
        }
    }
}
