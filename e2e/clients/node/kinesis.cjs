// Works with a stream as a program does that uses the AWS SDK for JavaScript v3, and prints what it saw.
// Arguments: endpoint, stream.
"use strict";
const {
  KinesisClient, CreateStreamCommand, waitUntilStreamExists, PutRecordCommand, PutRecordsCommand, ListShardsCommand,
  GetShardIteratorCommand, GetRecordsCommand, RegisterStreamConsumerCommand, DescribeStreamConsumerCommand, SubscribeToShardCommand, SplitShardCommand,
  DescribeStreamSummaryCommand, AddTagsToStreamCommand, ListTagsForStreamCommand, DeleteStreamCommand,
} = require("@aws-sdk/client-kinesis");

const [endpoint, StreamName] = process.argv.slice(2);
const client = new KinesisClient({ endpoint, region: "us-east-1", credentials: { accessKeyId: "AKIDNODE", secretAccessKey: "secret" }, maxAttempts: 1 });

// read reads a shard to its tip or end.
async function read(ShardId) {
  let { ShardIterator } = await client.send(new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" }));
  const texts = [];
  for (;;) {
    const out = await client.send(new GetRecordsCommand({ ShardIterator, Limit: 7 }));
    for (const r of out.Records) {
      if (!(r.ApproximateArrivalTimestamp instanceof Date) || Math.abs(Date.now() - r.ApproximateArrivalTimestamp) > 60_000) {
        throw new Error("arrived at " + r.ApproximateArrivalTimestamp);
      }
      texts.push(Buffer.from(r.Data).toString());
    }
    if (out.MillisBehindLatest === 0) return texts;
    ShardIterator = out.NextShardIterator;
  }
}

// active waits until a consumer can be used.
async function active(ConsumerARN) {
  for (;;) {
    const { ConsumerDescription } = await client.send(new DescribeStreamConsumerCommand({ ConsumerARN }));
    if (ConsumerDescription.ConsumerStatus === "ACTIVE") return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

// subscribe reads a shard until it is at its end.
async function subscribe(ConsumerARN, ShardId, started) {
  const out = await client.send(new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition: { Type: "TRIM_HORIZON" } }));
  started();
  const seen = { texts: [], children: [] };
  for await (const { SubscribeToShardEvent: e } of out.EventStream) {
    for (const r of e.Records) seen.texts.push(Buffer.from(r.Data).toString());
    for (const c of e.ChildShards ?? []) seen.children.push(c.ShardId);
  }
  return seen;
}

async function nameOf(promise) {
  try {
    await promise;
  } catch (e) {
    return e.name;
  }
  return "nothing";
}

async function main() {
  await client.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }));
  await waitUntilStreamExists({ client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { StreamName });
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName }));
  await client.send(new AddTagsToStreamCommand({ StreamName, Tags: { team: "düne" } }));
  const { Tags } = await client.send(new ListTagsForStreamCommand({ StreamName }));

  const { Shards } = await client.send(new ListShardsCommand({ StreamName }));
  const first = Shards[0];
  const records = [];
  for (let i = 0; i < 40; i++) {
    records.push({ Data: Buffer.from(`record-${i}`), PartitionKey: `k${i}`, ExplicitHashKey: Shards[i % 2].HashKeyRange.StartingHashKey });
  }
  const put = await client.send(new PutRecordsCommand({ StreamName, Records: records }));
  const shards = [await read(Shards[0].ShardId), await read(Shards[1].ShardId)];

  const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN: summary.StreamARN, ConsumerName: "node" }));
  await active(Consumer.ConsumerARN);
  let begun;
  const started = new Promise((resolve) => { begun = resolve; });
  const subscription = subscribe(Consumer.ConsumerARN, first.ShardId, begun);
  await Promise.race([started, subscription]);
  await client.send(new PutRecordCommand({ StreamName, Data: Buffer.from("live"), PartitionKey: "k", ExplicitHashKey: first.HashKeyRange.StartingHashKey }));
  await client.send(new SplitShardCommand({ StreamName, ShardToSplit: first.ShardId, NewStartingHashKey: "1000" }));
  const subscribed = await subscription;

  const errors = [
    await nameOf(client.send(new PutRecordCommand({ StreamName: "missing", Data: Buffer.from("x"), PartitionKey: "k" }))),
    await nameOf(client.send(new PutRecordCommand({ StreamName, Data: Buffer.from("x"), PartitionKey: "" }))),
    await nameOf(client.send(new GetRecordsCommand({ ShardIterator: "x" }))),
    await nameOf(client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 }))),
  ];
  await waitUntilStreamExists({ client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { StreamName });
  await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
  console.log(JSON.stringify({
    protocol: client.config.requestHandler.metadata.handlerProtocol, failed: put.FailedRecordCount,
    open: summary.OpenShardCount, tags: Tags.map((t) => `${t.Key}=${t.Value}`), shards, subscribed, errors,
  }));
  client.destroy();
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
