//! What RocketMQ's own classes wrote down of a store, compared with what is read here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pocketmq::{Message, ReadOnly};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Compares one record with its line in a manifest.
pub fn check_record(message: &Message, expected: &Value, name: &str) {
    let fields = message.record();
    let number = |key: &str| expected[key].as_i64().unwrap_or_else(|| panic!("{name}: {key}"));
    let at = format!("{name} at {}", message.log_offset());
    assert_eq!(message.topic(), expected["topic"], "{at}");
    assert_eq!(i64::from(message.queue().get()), number("queueId"), "{at}");
    assert_eq!(message.queue_offset().get().cast_signed(), number("queueOffset"), "{at}");
    assert_eq!(message.log_offset().get().cast_signed(), number("physicalOffset"), "{at}");
    assert_eq!(i64::from(message.size()), number("size"), "{at}");
    assert_eq!(i64::from(fields.magic), number("magic"), "{at}");
    assert_eq!(i64::from(fields.sys_flag), number("sysFlag"), "{at}");
    assert_eq!(i64::from(fields.flag), number("flag"), "{at}");
    assert_eq!(i64::from(fields.body_crc), number("bodyCRC"), "{at}");
    assert_eq!(fields.born_timestamp, number("bornTimestamp"), "{at}");
    assert_eq!(fields.store_timestamp, number("storeTimestamp"), "{at}");
    assert_eq!(fields.born_host, expected["bornHost"], "{at}");
    assert_eq!(fields.store_host, expected["storeHost"], "{at}");
    assert_eq!(i64::from(fields.reconsume_times), number("reconsumeTimes"), "{at}");
    assert_eq!(fields.prepared_transaction_offset, number("preparedTransactionOffset"), "{at}");
    assert_eq!(message.offset_id().to_string(), expected["offsetMsgId"], "{at}");
    if let Some(body) = expected["body"].as_str() {
        assert_eq!(BASE64.encode(message.body()), body, "{at}");
    } else {
        assert_eq!(message.body().len() as u64, expected["bodyLength"], "{at}");
        let hex = hex(&Sha256::digest(message.body()));
        assert_eq!(hex, expected["bodySha256"], "{at}");
    }
    let properties: BTreeMap<_, _> =
        message.raw_properties().iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let wanted: BTreeMap<String, String> =
        serde_json::from_value(expected["properties"].clone()).unwrap();
    assert_eq!(properties, wanted, "{at}");
}

/// Compares queues with `consumeQueues` of a manifest: the same units, or at least these when the broker had not
/// `finished` writing them.
pub fn check_units(queues: &[Value], store: &ReadOnly, finished: bool, name: &str) {
    for queue in queues {
        let (topic, id) = (queue["topic"].as_str().unwrap(), queue["queueId"].as_u64().unwrap());
        let id = u32::try_from(id).unwrap();
        let expected: Vec<(u64, u64, i64)> =
            serde_json::from_value(queue["units"].clone()).unwrap();
        let found: Vec<_> = store
            .entries(topic, id)
            .map(|e| (e.log_offset.get(), u64::from(e.size), e.tag_code))
            .collect();
        let at = format!("{name}: {topic} {id}");
        assert_eq!(found.get(..expected.len()), Some(&expected[..]), "{at}");
        if finished {
            assert_eq!(found.len(), expected.len(), "{at}");
        }
        let offsets: Vec<_> = store.entries(topic, id).map(|e| e.queue_offset.get()).collect();
        let min = queue["min"].as_u64().unwrap();
        assert_eq!(offsets, (min..min + offsets.len() as u64).collect::<Vec<_>>(), "{at}");
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
