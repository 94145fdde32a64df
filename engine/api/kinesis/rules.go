package kinesis

import "github.com/millrace-io/millrace/engine/api/wire"

// Rules of fields that several actions have (Kinesis API, data types). They do not change.
var (
	required        = &wire.Rule{Required: true}
	nameRule        = wire.Rule{Min: 1, Max: 128}.Matching("[a-zA-Z0-9_.-]+")
	nameRequired    = wire.Rule{Required: true, Min: 1, Max: 128}.Matching("[a-zA-Z0-9_.-]+")
	streamARN       = wire.Rule{Min: 1, Max: 2048}.Matching("arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+")
	streamARNNeeded = wire.Rule{Required: true, Min: 1, Max: 2048}.Matching("arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+")
	consumerARN     = wire.Rule{Min: 1, Max: 2048}.Matching("^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+")
	resourceARN     = wire.Rule{Required: true, Min: 1, Max: 2048}.Matching("arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+")
	streamID        = wire.Rule{Min: 1, Max: 24}.Matching("[a-z0-9]{20}-[a-z0-9]{3}")
	hashKey         = wire.Rule{}.Matching("0|([1-9]\\d{0,38})")
	hashKeyRequired = wire.Rule{Required: true}.Matching("0|([1-9]\\d{0,38})")
	sequenceNumber  = wire.Rule{}.Matching("0|([1-9]\\d{0,128})")
	partitionKey    = &wire.Rule{Min: 1, Max: 256}
	dataRule        = &wire.Rule{Required: true, HasMin: true, Max: 10485760}
	entriesRule     = &wire.Rule{Required: true, Min: 1, Max: 500}
	nextToken       = &wire.Rule{Min: 1, Max: 1048576}
	upTo10000       = &wire.Rule{Min: 1, Max: 10000}
	iteratorType    = &wire.Rule{Required: true, Enum: []string{"AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"}}
	tagKey          = &wire.Rule{Min: 1, Max: 128}
	tagValue        = &wire.Rule{HasMin: true, Max: 256}
	tagMap          = &wire.Rule{Min: 1, Max: 200}
	tagMapRequired  = &wire.Rule{Required: true, Min: 1, Max: 200}
	tagKeys         = &wire.Rule{Required: true, Min: 1, Max: 50}
	atLeast1        = &wire.Rule{Required: true, HasMin: true, Min: 1}
	shardCount      = &wire.Rule{HasMin: true, Min: 1}
	warmThroughput  = &wire.Rule{HasMin: true}
	recordSize      = &wire.Rule{Min: 1024, Max: 10240}
	recordSizeAsked = &wire.Rule{Required: true, Min: 1024, Max: 10240}
	modeRule        = &wire.Rule{Required: true, Enum: []string{"PROVISIONED", "ON_DEMAND"}}
	strategyRule    = &wire.Rule{Enum: []string{"AUTO", "USER_PARTITION_KEY"}}
	strategyAsked   = &wire.Rule{Required: true, Enum: []string{"AUTO", "USER_PARTITION_KEY"}}
)
