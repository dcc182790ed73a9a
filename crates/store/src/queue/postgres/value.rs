//! The shared values, as PostgreSQL binds and returns them.

use std::borrow::Cow;
use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::value::Value;

type Refused = Box<dyn Error + Sync + Send>;

/// A text as PostgreSQL can keep it: without the one character that it cannot, which receivers may
/// well answer.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Refused> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            // What a place is typed as follows from its surroundings: `LENGTH(…) <= $1` is an INT4.
            Self::Int(int) => match *ty {
                Type::INT8 => int.to_sql(ty, out),
                Type::INT4 => i32::try_from(*int)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*int)?.to_sql(ty, out),
                _ => Err(format!("a number is no {ty}").into()),
            },
            Self::Text(it) if <&str as ToSql>::accepts(ty) => (&*text(it)).to_sql(ty, out),
            Self::Blob(bytes) if *ty == Type::BYTEA => (&**bytes).to_sql(ty, out),
            Self::Text(_) | Self::Blob(_) => Err(format!("a text or blob is no {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Refused> {
        Ok(match *ty {
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Int(bool::from_sql(ty, raw)?.into()),
            // What a sum of BIGINTs is.
            Type::NUMERIC => Self::Int(whole(raw).ok_or("not a whole number of 64 bits")?),
            Type::BYTEA => Self::Blob(<&[u8]>::from_sql(ty, raw)?.into()),
            _ => Self::Text(<&str>::from_sql(ty, raw)?.into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Refused> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        let known = [Type::INT8, Type::INT4, Type::INT2, Type::BOOL, Type::NUMERIC, Type::BYTEA];
        known.contains(ty) || <&str as FromSql<'_>>::accepts(ty)
    }
}

/// A whole NUMERIC: counts of digits, weight, sign and scale, then the digits to the base of 10,000.
fn whole(raw: &[u8]) -> Option<i64> {
    let (words, _) = raw.as_chunks::<2>();
    let word = |n: usize| words.get(n).map(|&bytes| i16::from_be_bytes(bytes));
    let (digits, weight, sign) = (word(0)?, word(1)?, words.get(2)?);
    let mut sum: i64 = 0;
    // Trailing zeros are left out: the weight says how many digits there are.
    for n in 0..=weight {
        let digit = if n < digits { word(4 + usize::try_from(n).ok()?)? } else { 0 };
        sum = sum.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    match sign {
        [0x00, 0x00] => Some(sum),
        [0x40, 0x00] => Some(-sum),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_whole() {
        let numeric = |words: &[u16]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        for (words, number) in [
            (&[0, 0, 0, 0][..], Some(0)),
            (&[1, 0, 0, 0, 42], Some(42)),
            (&[1, 1, 0x4000, 0, 3], Some(-30_000)),
            (&[2, 1, 0, 0, 12, 3_456], Some(123_456)),
            (&[0, 0, 0xc000, 0], None),
        ] {
            assert_eq!(whole(&numeric(words)), number, "{words:?}");
        }
    }
}
