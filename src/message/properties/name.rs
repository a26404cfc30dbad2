//! The names that mean something to `RocketMQ`.

pub(crate) const UNIQ_KEY: &str = "UNIQ_KEY";
pub(crate) const KEYS: &str = "KEYS";
pub(crate) const TAGS: &str = "TAGS";
pub(crate) const WAIT: &str = "WAIT";
pub(crate) const DELAY: &str = "DELAY";
pub(crate) const SHARDING_KEY: &str = "__SHARDINGKEY";
pub(crate) const CLUSTER: &str = "CLUSTER";
pub(crate) const CRC32: &str = "__CRC32#";

pub(crate) const REAL_TOPIC: &str = "REAL_TOPIC";
pub(crate) const REAL_QUEUE_ID: &str = "REAL_QID";
pub(crate) const RETRY_TOPIC: &str = "RETRY_TOPIC";
pub(crate) const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
pub(crate) const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
pub(crate) const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";

pub(crate) const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
pub(crate) const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
pub(crate) const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
pub(crate) const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
pub(crate) const TIMER_ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
pub(crate) const TIMER_DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
pub(crate) const TIMER_ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
pub(crate) const TIMER_DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";

pub(crate) const PRODUCER_GROUP: &str = "PGROUP";
pub(crate) const TRANSACTION_PREPARED: &str = "TRAN_MSG";
pub(crate) const TRANSACTION_ID: &str = "__transactionId__";
pub(crate) const TRANSACTION_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
pub(crate) const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
pub(crate) const CHECK_IMMUNITY_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";

/// Names that users do not set, because a broker or client would take them for its own. Without the three that
/// have a builder method.
pub(super) const RESERVED: [&str; 58] = [
    UNIQ_KEY,
    WAIT,
    DELAY,
    CLUSTER,
    CRC32,
    REAL_TOPIC,
    REAL_QUEUE_ID,
    RETRY_TOPIC,
    ORIGIN_MESSAGE_ID,
    DLQ_ORIGIN_TOPIC,
    DLQ_ORIGIN_MESSAGE_ID,
    TIMER_DELAY_SEC,
    TIMER_DELAY_MS,
    TIMER_DELIVER_MS,
    TIMER_OUT_MS,
    TIMER_ENQUEUE_MS,
    TIMER_DEQUEUE_MS,
    TIMER_ROLL_TIMES,
    TIMER_DEL_UNIQKEY,
    "TIMER_DELAY_LEVEL",
    PRODUCER_GROUP,
    TRANSACTION_PREPARED,
    TRANSACTION_ID,
    TRANSACTION_PREPARED_QUEUE_OFFSET,
    TRANSACTION_CHECK_TIMES,
    CHECK_IMMUNITY_SECONDS,
    "RECONSUME_TIME",
    "MAX_RECONSUME_TIMES",
    "MSG_REGION",
    "TRACE_ON",
    "INSTANCE_ID",
    "CORRELATION_ID",
    "REPLY_TO_CLIENT",
    "TTL",
    "MSG_TYPE",
    "ARRIVE_TIME",
    "PUSH_REPLY_TIME",
    "INNER_NUM",
    "INNER_BASE",
    "INNER_MULTI_DISPATCH",
    "INNER_MULTI_QUEUE_OFFSET",
    "POP_CK",
    "1ST_POP_TIME",
    "POP_CK_OFFSET",
    "MIN_OFFSET",
    "MAX_OFFSET",
    "CONSUME_START_TIME",
    "DUP_INFO",
    "BORN_TIMESTAMP",
    "__BORNHOST",
    "BUYER_ID",
    "TRACE_CONTEXT",
    "EXTEND_UNIQ_INFO",
    "TRANSFER_FLAG",
    "CORRECTION_FLAG",
    "MQ2_FLAG",
    "REDIRECT",
    "PROPERTY_FORWARD_QUEUE_ID",
];
/// Names that must never reach the disk start so.
pub(super) const TRANSIENT_PREFIX: &str = "__RMQ.TRANSIENT.";
