// Package capacity decides how much a shard may take and how many shards a stream should have. It
// does no I/O and has no clock: callers pass the time, samples and the map of shards, and carry
// out what it decides.
//
// The invariant to remember: decisions follow from the map of shards and from what was observed
// since the last start. Nothing here has to be stored.
//
// # Limits
//
// Limiter holds token buckets per shard, one second deep: with Kinesis's figures 1 MiB and 1,000
// records in, 2 MiB and 5 reads out, per second. Streams have limits only if asked for.
//
// # On demand
//
// Scaler compares each shard's load, minute by minute, with a shard's nominal capacity. The load
// is the larger of bytes and records, as a share of the capacity.
//
//   - Split: the last full minute's load was above 0.8, and some cut leaves no side more than 0.75
//     of it. The cut is taken from a sample of the hash keys seen, weighted by their cost, so that
//     the load halves rather than the range. A shard with one hot key is left alone: splitting
//     cannot help it, and Scaler.Stuck names it.
//   - Merge: two adjacent shards together stayed below 0.3 in each of the last 15 minutes.
//   - Cool-down: what a split made is not merged for 15 minutes, and what a merge made is not split
//     for 15 minutes. What a split made may be split again once it has a full minute of its own,
//     so capacity can double every two minutes.
//   - Hysteresis: what is merged is below 0.3 and what is split above 0.8, so neither undoes the
//     other unless traffic changes more than twofold.
//   - Bounds: never fewer shards than Min or more than Max; hottest first when there is room for
//     some only. If Max was lowered, pairs below 0.8 merge until the stream is within it.
//
// The figures are Options and their defaults. docs/capacity.md explains them to users; a test runs
// a day of traffic through them.
package capacity
