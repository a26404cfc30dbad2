//! Files of real brokers: 5.3.3, and where said 5.5.0, which lays out the same text differently.

/// `topics.json`, cut to its first two entries.
pub(super) const TOPICS: &str = r#"{
	"dataVersion":{
		"counter":8,
		"stateVersion":0,
		"timestamp":1795443891095
	},
	"topicConfigTable":{
		"InteropCluster":{
			"attributes":{},
			"order":false,
			"perm":7,
			"readQueueNums":16,
			"topicFilterType":"SINGLE_TAG",
			"topicName":"InteropCluster",
			"topicSysFlag":0,
			"writeQueueNums":16
		},
		"SCHEDULE_TOPIC_XXXX":{
			"attributes":{},
			"order":false,
			"perm":6,
			"readQueueNums":18,
			"topicFilterType":"SINGLE_TAG",
			"topicName":"SCHEDULE_TOPIC_XXXX",
			"topicSysFlag":0,
			"writeQueueNums":18
		}
	}
}"#;

/// `subscriptionGroup.json`, cut to its first two entries.
pub(super) const GROUPS: &str = r#"{
	"dataVersion":{
		"counter":4,
		"stateVersion":0,
		"timestamp":1795443891078
	},
	"forbiddenTable":{},
	"subscriptionGroupTable":{
		"SELF_TEST_C_GROUP":{
			"attributes":{},
			"brokerId":0,
			"consumeBroadcastEnable":true,
			"consumeEnable":true,
			"consumeFromMinEnable":true,
			"consumeMessageOrderly":false,
			"consumeTimeoutMinute":15,
			"groupName":"SELF_TEST_C_GROUP",
			"groupRetryPolicy":{
				"type":"CUSTOMIZED"
			},
			"groupSysFlag":0,
			"notifyConsumerIdsChangedEnable":true,
			"retryMaxTimes":16,
			"retryQueueNums":1,
			"whichBrokerWhenConsumeSlowly":1
		},
		"CID_ONSAPI_OWNER":{
			"attributes":{},
			"brokerId":0,
			"consumeBroadcastEnable":true,
			"consumeEnable":true,
			"consumeFromMinEnable":true,
			"consumeMessageOrderly":false,
			"consumeTimeoutMinute":15,
			"groupName":"CID_ONSAPI_OWNER",
			"groupRetryPolicy":{
				"type":"CUSTOMIZED"
			},
			"groupSysFlag":0,
			"notifyConsumerIdsChangedEnable":true,
			"retryMaxTimes":16,
			"retryQueueNums":1,
			"whichBrokerWhenConsumeSlowly":1
		}
	}
}"#;

/// `consumerOffset.json`.
pub(super) const OFFSETS: &str = r#"{
	"dataVersion":{
		"counter":0,
		"stateVersion":0,
		"timestamp":1795443975903
	},
	"groupTopicMap":{
		"g16_retry":["%RETRY%g16_retry","g16_Retry"],
		"g16_orderly":["g16_Ordered"]
	},
	"offsetTable":{
		"g16_Ordered@g16_orderly":{0:3
		},
		"g16_Retry@g16_retry":{0:4,1:4
		},
		"%RETRY%g16_retry@g16_retry":{0:5
		}
	}
}"#;

/// `consumerOffset.json` of 5.5.0, with some entries cut out.
pub(super) const OFFSETS_5_5: &str = r#"{
	"dataVersion":{
		"counter":0,
		"stateVersion":0,
		"timestamp":1795444000027
	},
	"groupTopicMap":{
		"g11_part2":[
			"g11_One"
		],
		"g11_sql":[
			"g11_Eight"
		],
		"g11_tagged":[
			"g11_Eight"
		],
		"g11_part":[
			"g11_One",
			"g11_Four"
		]
	},
	"offsetTable":{
		"g11_One@g11_part":{
			0:40
		},
		"g11_One@g11_part2":{
			0:7
		}
	},
	"pullOffsetTable":{
		"g11_One@g11_part":{
			0:32
		},
		"g11_One@g11_part2":{
			0:7
		}
	}
}"#;

/// `delayOffset.json`.
pub(super) const DELAYS: &str = r#"{
	"dataVersion":{
		"counter":5,
		"stateVersion":0,
		"timestamp":1795444215646
	},
	"offsetTable":{1:2,2:2,3:1,4:0,5:0,9:0,14:0,18:0
	}
}"#;

/// `consumerFilter.json`.
pub(super) const FILTERS: &str = r#"{
	"filterDataByTopic":{
		"g11_Eight":{
			"groupFilterData":{
				"g11_sql":{
					"bloomFilterData":{
						"bitNum":112,
						"bitPos":[50,108,100]
					},
					"bornTime":1795443891140,
					"clientVersion":1795443892032,
					"consumerGroup":"g11_sql",
					"dead":true,
					"deadTime":1795443894193,
					"expression":"a = '1' OR n IS NOT NULL AND TAGS = 'T1'",
					"expressionType":"SQL92",
					"topic":"g11_Eight"
				}
			},
			"topic":"g11_Eight"
		}
	}
}"#;
