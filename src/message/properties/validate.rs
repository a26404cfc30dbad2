//! Which properties, keys and tags a user may give: those that come back as they were given, and mean what they say.

use super::{MAX_PAYLOAD_LEN, NAME_END, PIECE_END, name};
use crate::error::{Error, ErrorKind, Result};

/// Checks a property that a user gave by name.
///
/// # Errors
///
/// `InvalidArgument` if the block's reader would not give back the same, or if the name is taken; the sentence says what
/// to use instead. `TooLarge` if it does not fit a block by itself.
pub(crate) fn validate(name: &str, value: &str) -> Result<()> {
    // The length comes first: the other sentences repeat the name.
    validate_len(name.len().saturating_add(value.len()).saturating_add(2))?;
    if name.is_empty() {
        return Err(Error::invalid("the property name is empty"));
    }
    if let Some((at, bad)) = name.chars().enumerate().find(|(_, c)| c.is_control()) {
        return Err(Error::invalid(format!(
            "the property name {name:?} has the control character {bad:?} as character {}",
            at + 1
        )));
    }
    let instead = match name {
        name::KEYS => Some("key"),
        name::TAGS => Some("tag"),
        name::SHARDING_KEY => Some("order_by"),
        _ => None,
    };
    if let Some(method) = instead {
        return Err(Error::invalid(format!(
            "the property name {name:?} is reserved: use the builder's method `{method}`"
        )));
    }
    if name::RESERVED.contains(&name) || name.starts_with(name::TRANSIENT_PREFIX) {
        return Err(Error::invalid(format!("the property name {name:?} is reserved")));
    }
    validate_value(name, value)
}

/// Checks the value of a property; `what` it is appears in the sentence.
///
/// # Errors
///
/// `InvalidArgument` if it is empty or has a byte that ends names or values.
pub(crate) fn validate_value(what: &str, value: &str) -> Result<()> {
    if value.is_empty() {
        return Err(Error::invalid(format!("the value of {what:?} is empty")));
    }
    if let Some(at) = value.bytes().position(|byte| byte == NAME_END || byte == PIECE_END) {
        return Err(Error::invalid(format!(
            "the value of {what:?} has 0x01 or 0x02, which end names and values on disk, at byte {}",
            at + 1
        )));
    }
    Ok(())
}

/// Checks one key of a message: several are stored with spaces between them.
///
/// # Errors
///
/// `InvalidArgument` if it is empty, or has a space or a byte that ends names or values.
pub(crate) fn validate_key(key: &str) -> Result<()> {
    validate_value("key", key)?;
    if key.contains(' ') {
        return Err(Error::invalid("the key has a space, which separates keys on disk"));
    }
    Ok(())
}

/// Checks the tag of a message: filters write several with `||` between them and spaces around.
///
/// # Errors
///
/// `InvalidArgument` if no filter could name it, or if it has a byte that ends names or values.
pub(crate) fn validate_tag(tag: &str) -> Result<()> {
    validate_value("tag", tag)?;
    if tag.contains("||") || tag.trim() != tag || tag == "*" {
        return Err(Error::invalid(
            "the tag is \"*\", has \"||\" or begins or ends in white space: no filter could name it",
        ));
    }
    Ok(())
}

/// Checks the length of a whole block, without the record's checksum.
///
/// # Errors
///
/// `TooLarge` if it does not fit.
pub(crate) fn validate_len(len: usize) -> Result<()> {
    if len > MAX_PAYLOAD_LEN {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the properties take {len} bytes, at most {MAX_PAYLOAD_LEN} are possible"),
        ));
    }
    Ok(())
}
