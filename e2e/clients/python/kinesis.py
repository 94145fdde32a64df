"""Works with a stream as a program does that uses boto3, and prints what it saw. Arguments: endpoint, stream."""

import datetime
import json
import sys
import threading
import time

import boto3
import botocore.config
import botocore.exceptions

endpoint, stream = sys.argv[1:]
client = boto3.client(
    "kinesis",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="AKIDPYTHON",
    aws_secret_access_key="secret",
    config=botocore.config.Config(retries={"max_attempts": 0}),
)


def read(shard):
    """Reads a shard to its tip or end."""
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    texts = []
    while True:
        out = client.get_records(ShardIterator=iterator, Limit=7)
        for r in out["Records"]:
            age = datetime.datetime.now(datetime.timezone.utc) - r["ApproximateArrivalTimestamp"]
            if abs(age.total_seconds()) > 60:
                raise ValueError("arrived at %s" % r["ApproximateArrivalTimestamp"])
            texts.append(r["Data"].decode())
        if out["MillisBehindLatest"] == 0:
            return texts
        iterator = out["NextShardIterator"]


def active(consumer):
    """Waits until a consumer can be used."""
    while client.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
        time.sleep(0.05)


def subscribe(consumer, shard, started, seen):
    """Reads a shard until it is at its end."""
    out = client.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"})
    started.set()
    for event in out["EventStream"]:
        event = event["SubscribeToShardEvent"]
        seen["texts"] += [r["Data"].decode() for r in event["Records"]]
        seen["children"] += [c["ShardId"] for c in event.get("ChildShards", [])]


def code(call, **arguments):
    """The code of the error that a call gives."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as e:
        return e.response["Error"]["Code"]
    return "nothing"


client.create_stream(StreamName=stream, ShardCount=2)
client.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
summary = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
client.add_tags_to_stream(StreamName=stream, Tags={"team": "düne"})
tags = client.list_tags_for_stream(StreamName=stream)["Tags"]

shards = client.list_shards(StreamName=stream)["Shards"]
put = client.put_records(
    StreamName=stream,
    Records=[
        {"Data": b"record-%d" % i, "PartitionKey": "k%d" % i, "ExplicitHashKey": shards[i % 2]["HashKeyRange"]["StartingHashKey"]}
        for i in range(40)
    ],
)
texts = [read(s["ShardId"]) for s in shards]

first = shards[0]
consumer = client.register_stream_consumer(StreamARN=summary["StreamARN"], ConsumerName="python")["Consumer"]["ConsumerARN"]
active(consumer)
started, seen = threading.Event(), {"texts": [], "children": []}
reader = threading.Thread(target=subscribe, args=(consumer, first["ShardId"], started, seen), daemon=True)
reader.start()
if not started.wait(30):
    sys.exit("no subscription")
client.put_record(StreamName=stream, Data=b"live", PartitionKey="k", ExplicitHashKey=first["HashKeyRange"]["StartingHashKey"])
client.split_shard(StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey="1000")
reader.join(30)

errors = [
    code(client.put_record, StreamName="missing", Data=b"x", PartitionKey="k"),
    code(client.put_record, StreamName=stream, Data=b"x", PartitionKey="k", ExplicitHashKey="x"),
    code(client.get_records, ShardIterator="x"),
    code(client.create_stream, StreamName=stream, ShardCount=1),
]
client.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
client.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
print(
    json.dumps(
        {
            "version": boto3.__version__,
            "failed": put["FailedRecordCount"],
            "open": summary["OpenShardCount"],
            "tags": ["%s=%s" % (t["Key"], t["Value"]) for t in tags],
            "shards": texts,
            "subscribed": seen,
            "errors": errors,
        }
    )
)
