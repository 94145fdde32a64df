// Works with a stream as a program does that uses the AWS SDK for JavaScript v2, which speaks HTTP/1.1, and prints what
// it saw. Arguments: endpoint, stream.
"use strict";
process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const { Kinesis } = require("aws-sdk");

const [endpoint, StreamName] = process.argv.slice(2);
const client = new Kinesis({ endpoint, region: "us-east-1", accessKeyId: "AKIDNODE", secretAccessKey: "secret", maxRetries: 0 });

async function main() {
  await client.createStream({ StreamName, ShardCount: 1 }).promise();
  await client.waitFor("streamExists", { StreamName, $waiter: { delay: 1 } }).promise();
  const Records = [];
  for (let i = 0; i < 20; i++) Records.push({ Data: `record-${i}`, PartitionKey: `k${i}` });
  const put = await client.putRecords({ StreamName, Records }).promise();
  const { ShardIterator } = await client.getShardIterator({ StreamName, ShardId: "shardId-000000000000", ShardIteratorType: "TRIM_HORIZON" }).promise();
  const got = await client.getRecords({ ShardIterator }).promise();
  const error = await client.putRecord({ StreamName: "missing", Data: "x", PartitionKey: "k" }).promise().then(() => "nothing", (e) => e.code);
  await client.deleteStream({ StreamName }).promise();
  console.log(JSON.stringify({ failed: put.FailedRecordCount, shards: [got.Records.map((r) => r.Data.toString())], errors: [error] }));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
