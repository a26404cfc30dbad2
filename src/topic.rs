//! The typed name of a topic.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::codec::Json;
use crate::error::Result;
use crate::message::names::validate_topic;

/// A topic's name together with the type of its messages and their codec.
///
/// The type appears once; the name on disk does not depend on the Rust name.
///
/// ```
/// use pocketmq::{Raw, Topic};
///
/// const NAMES: Topic<String> = Topic::new("names");        // JSON
/// const BLOBS: Topic<[u8], Raw> = Topic::new("blobs");     // bytes as they are
/// ```
pub struct Topic<T: ?Sized, C = Json> {
    name: Cow<'static, str>,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C> Topic<T, C> {
    /// A topic with a name known when the program is written. The name is checked when a producer or consumer is made:
    /// 1 to 127 characters of `a-z A-Z 0-9 _ - | %`, not beginning with `%`, not one of RocketMQ's system topics.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), types: PhantomData }
    }

    /// A topic whose name is known only at run time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if it is not a topic name.
    pub fn named(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        validate_topic(&name)?;
        Ok(Self { name: Cow::Owned(name), types: PhantomData })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T: ?Sized, C> Clone for Topic<T, C> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), types: PhantomData }
    }
}

impl<T: ?Sized, C> fmt::Debug for Topic<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Topic").field(&self.name).finish()
    }
}
