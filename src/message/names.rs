//! Names of topics and groups: which ones a user may give, which ones are believed on disk.

use crate::error::{Error, Result};

/// The longest name of a user's topic, in bytes.
pub(crate) const MAX_TOPIC_LEN: usize = 127;
/// The longest name of a group, in bytes: with `%RETRY%` before it, it is a topic.
pub(crate) const MAX_GROUP_LEN: usize = 120;
/// The longest name of a folder, hence of any topic.
const MAX_FOLDER_LEN: usize = 255;

/// Where messages delayed by level wait.
pub(crate) const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Where messages delayed to a time wait.
#[cfg_attr(not(test), expect(dead_code, reason = "the format's whole table stands here"))]
pub(crate) const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
/// Where half messages wait.
#[expect(dead_code, reason = "the format's whole table stands here")]
pub(crate) const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Where it is written down which half messages are decided.
#[cfg_attr(not(test), expect(dead_code, reason = "the format's whole table stands here"))]
pub(crate) const OP_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Where half messages end that nobody decided.
pub(crate) const CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Before a group's name: the topic of its retries.
#[cfg_attr(not(test), expect(dead_code, reason = "the format's whole table stands here"))]
pub(crate) const RETRY_PREFIX: &str = "%RETRY%";
/// Before a group's name: the topic of its dead letters.
#[expect(dead_code, reason = "the format's whole table stands here")]
pub(crate) const DLQ_PREFIX: &str = "%DLQ%";

/// Topics that a broker makes and uses itself, beside those with a prefix below.
const SYSTEM_TOPICS: [&str; 8] = [
    SCHEDULE_TOPIC,
    CHECK_MAX_TIME_TOPIC,
    "TBW102",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "BenchmarkTest",
    "DefaultCluster",
    "DefaultCluster_REPLY_TOPIC",
];
const SYSTEM_TOPIC_PREFIXES: [&str; 2] = ["rmq_sys_", "RMQ_SYS_"];
/// Before a durable subscription's name: what its position is kept under. Neither a user nor a broker can have a group like that, a
/// broker because `@` stands between topic and group in its file.
const SUBSCRIPTION_PREFIX: char = '@';
/// Groups under which a broker keeps its own progress.
const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

/// Checks a topic name that a user gave.
///
/// # Errors
///
/// `InvalidArgument`, with a sentence that says what is wrong where.
pub(crate) fn validate_topic(name: &str) -> Result<()> {
    validate("topic", name, MAX_TOPIC_LEN)?;
    if is_system_topic(name) {
        return Err(Error::invalid(format!("the topic name {name:?} is reserved")));
    }
    Ok(())
}

/// Checks a consumer or producer group name that a user gave.
///
/// # Errors
///
/// `InvalidArgument`, with a sentence that says what is wrong where.
pub(crate) fn validate_group(name: &str) -> Result<()> {
    validate("group", name, MAX_GROUP_LEN)?;
    if name.starts_with(SYSTEM_GROUP_PREFIX) {
        return Err(Error::invalid(format!(
            "the group name {name:?} is reserved: it starts with {SYSTEM_GROUP_PREFIX}"
        )));
    }
    Ok(())
}

/// Checks a subscription's name that a user gave.
///
/// # Errors
///
/// `InvalidArgument`, with a sentence that says what is wrong where.
pub(crate) fn validate_subscription(name: &str) -> Result<()> {
    validate("subscription", name, MAX_GROUP_LEN)
}

/// What a subscription's position is kept under, among the groups'.
pub(crate) fn subscription_key(name: &str) -> String {
    format!("{SUBSCRIPTION_PREFIX}{name}")
}

/// The subscription whose position is kept under `key`; `None` if a group's is.
pub(crate) fn subscription_of(key: &str) -> Option<&str> {
    key.strip_prefix(SUBSCRIPTION_PREFIX)
}

/// Whether a broker uses a topic of this name for itself. Retry and dead-letter topics are not among them.
pub(crate) fn is_system_topic(name: &str) -> bool {
    SYSTEM_TOPICS.contains(&name)
        || SYSTEM_TOPIC_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a topic name found on disk can be a folder's name, and nothing but that: a single component that stays in
/// its parent folder. System, retry and dead-letter topics are among them, and names that no user may give.
pub(crate) fn is_loadable_topic(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= MAX_FOLDER_LEN && !name.contains(['/', '\0'])
}

fn validate(what: &str, name: &str, max: usize) -> Result<()> {
    // The length comes first: the other sentences repeat the name.
    if name.is_empty() {
        return Err(Error::invalid(format!("the {what} name is empty")));
    }
    if name.len() > max {
        return Err(Error::invalid(format!(
            "the {what} name has {} bytes, at most {max} are possible",
            name.len()
        )));
    }
    if let Some((at, bad)) = name.chars().enumerate().find(|(_, c)| !is_allowed(*c)) {
        return Err(Error::invalid(format!(
            "the {what} name {name:?} has {bad:?} as character {}; \
             letters a-z and A-Z, digits, '-', '_', '|' and '%' are possible",
            at + 1
        )));
    }
    if name.starts_with('%') {
        return Err(Error::invalid(format!(
            "the {what} name {name:?} starts with '%', which is reserved for retries and dead letters"
        )));
    }
    Ok(())
}

const fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '-' | '_')
}

/// Java's `String.hashCode`: over UTF-16 code units, wrapping.
pub(crate) fn java_hash(text: &str) -> i32 {
    let step = |hash: i32, unit: i32| hash.wrapping_mul(31).wrapping_add(unit);
    if text.is_ascii() {
        text.bytes().map(i32::from).fold(0, step)
    } else {
        text.encode_utf16().map(i32::from).fold(0, step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn refusal(checked: Result<()>) -> String {
        let error = checked.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    }

    #[test]
    fn ordinary_names_are_taken() {
        for name in ["a", "orders", "orders-eu_7", "A|b", "100%", &"x".repeat(120)] {
            validate_topic(name).unwrap();
            validate_group(name).unwrap();
        }
        validate_topic(&"x".repeat(127)).unwrap();
    }

    #[test]
    fn a_refusal_names_character_and_position() {
        for (name, character, position) in [
            ("../x", "'.'", 1),
            (".", "'.'", 1),
            ("..", "'.'", 1),
            ("ab/c", "'/'", 3),
            ("a\0", "'\\0'", 2),
            ("größe", "'ö'", 3),
            ("a b", "' '", 2),
            ("a@b", "'@'", 2),
        ] {
            for sentence in [refusal(validate_topic(name)), refusal(validate_group(name))] {
                assert!(
                    sentence.contains(&format!("{character} as character {position};")),
                    "{sentence}"
                );
            }
        }
    }

    #[test]
    fn a_name_too_long_is_refused_without_repeating_it() {
        assert!(refusal(validate_topic(&"x".repeat(128))).contains("128 bytes, at most 127"));
        assert!(refusal(validate_group(&"x".repeat(121))).contains("121 bytes, at most 120"));
        assert!(refusal(validate_topic(&"ä".repeat(1 << 20))).len() < 100);
        assert!(refusal(validate_topic("")).contains("empty"));
    }

    #[test]
    fn names_of_the_broker_are_refused() {
        for name in [
            "%DLQ%x",
            "%RETRY%x",
            "%x",
            "TBW102",
            "SCHEDULE_TOPIC_XXXX",
            "RMQ_SYS_TRANS_HALF_TOPIC",
            "RMQ_SYS_anything",
            "rmq_sys_wheel_timer",
            "TRANS_CHECK_MAX_TIME_TOPIC",
            "OFFSET_MOVED_EVENT",
            "SELF_TEST_TOPIC",
            "BenchmarkTest",
        ] {
            assert!(refusal(validate_topic(name)).contains("reserved"), "{name}");
        }
        for name in ["%DLQ%x", "CID_RMQ_SYS_TRANS"] {
            assert!(refusal(validate_group(name)).contains("reserved"), "{name}");
        }
        validate_group("TBW102").unwrap();
    }

    #[test]
    fn a_subscription_has_a_key_that_no_group_has() {
        for name in ["a", "A|b", "100%", &"x".repeat(120)] {
            validate_subscription(name).unwrap();
            let key = subscription_key(name);
            assert_eq!(subscription_of(&key), Some(name));
            refusal(validate_group(&key));
            assert_eq!(subscription_of(name), None);
        }
        for name in ["", "@a", "a b", "%x", &"x".repeat(121)] {
            assert!(refusal(validate_subscription(name)).contains("subscription name"), "{name}");
        }
    }

    #[test]
    fn any_single_path_component_is_loadable() {
        for name in
            ["%RETRY%g", "%DLQ%g", TIMER_TOPIC, OP_TOPIC, "a b", "...", "标签", &"x".repeat(255)]
        {
            assert!(is_loadable_topic(name), "{name}");
        }
        for name in ["", ".", "..", "/", "a/b", "../x", "a\0b", &"x".repeat(256)] {
            assert!(!is_loadable_topic(name), "{name}");
        }
    }

    #[test]
    fn hashes_are_javas() {
        for (text, hash) in [
            ("", 0),
            ("TagA", 2_598_919),
            ("d", 100),
            ("ck", 3176),
            ("标签", 857_175),
            ("polygenelubricants", i32::MIN),
            ("TopicTest#K1", 2_745_032),
            ("TopicTest#7F0000012A9F18B4AAC200000000000A", -1_171_230_713),
            // A surrogate pair: two units, not one.
            ("\u{1F600}", 0xD83D * 31 + 0xDE00),
        ] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_a_user_may_name_can_be_a_folder(name in "\\PC{0,130}|[a-zA-Z0-9%|_-]{0,130}") {
            if validate_topic(&name).is_ok() {
                prop_assert!(is_loadable_topic(&name));
            }
            if validate_group(&name).is_ok() {
                let retry = format!("{RETRY_PREFIX}{name}");
                prop_assert!(retry.len() <= MAX_TOPIC_LEN && is_loadable_topic(&retry));
            }
        }
    }
}
