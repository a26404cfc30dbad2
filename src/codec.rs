//! Codecs: how a typed message becomes bytes and back.

/// What a codec's own failure looks like.
pub type CodecError = Box<dyn std::error::Error + Send + Sync>;

/// Turns values of type `T` into message bodies.
///
/// A codec is a type, not a value: it is named in [`Topic<T, C>`](crate::Topic).
///
/// ```
/// use pocketmq::{CodecError, Decode, Encode, Topic};
///
/// /// Decimal text.
/// struct Decimal;
///
/// impl Encode<u64> for Decimal {
///     fn encode(value: &u64, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend_from_slice(value.to_string().as_bytes());
///         Ok(())
///     }
/// }
///
/// impl Decode<u64> for Decimal {
///     type Owned = u64;
///     fn decode(body: &[u8]) -> Result<u64, CodecError> {
///         Ok(std::str::from_utf8(body)?.parse()?)
///     }
/// }
///
/// const TICKS: Topic<u64, Decimal> = Topic::new("ticks");
/// ```
pub trait Encode<T: ?Sized> {
    /// Appends the encoded `value` to `out`, which may already hold bytes that must stay.
    ///
    /// # Errors
    ///
    /// Whatever makes a value unencodable; the send fails with it and stores nothing.
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

/// Turns message bodies into owned values.
pub trait Decode<T: ?Sized> {
    /// What a consumer receives: `T` itself, or its owned form where `T` is unsized.
    type Owned: Send + 'static;

    /// Decodes one body.
    ///
    /// # Errors
    ///
    /// Whatever makes a body undecodable; the message is then left for later, with its bytes untouched.
    fn decode(body: &[u8]) -> Result<Self::Owned, CodecError>;
}

/// JSON through serde: the default codec. Its implementations need the feature `json` (on by default).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Json;

/// Bytes as they are: `Topic<[u8], Raw>` sends slices and delivers `Box<[u8]>`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Raw;

#[cfg(feature = "json")]
impl<T: serde::Serialize + ?Sized> Encode<T> for Json {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(serde_json::to_writer(out, value)?)
    }
}

#[cfg(feature = "json")]
impl<T: serde::de::DeserializeOwned + Send + 'static> Decode<T> for Json {
    type Owned = T;

    fn decode(body: &[u8]) -> Result<T, CodecError> {
        Ok(serde_json::from_slice(body)?)
    }
}

impl Encode<[u8]> for Raw {
    fn encode(value: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value);
        Ok(())
    }
}

impl Decode<[u8]> for Raw {
    type Owned = Box<[u8]>;

    fn decode(body: &[u8]) -> Result<Box<[u8]>, CodecError> {
        Ok(body.into())
    }
}
