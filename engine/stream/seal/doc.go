// Package seal encrypts the records of a stream at rest: every segment has a random data key of
// its own, AES-256-GCM, and lies next to that key as a master key wrapped it.
//
// The invariant to remember: a data key never seals twice with the same counter. A key seals only
// in the process that made it, with rising counters; a segment that is opened again is read only,
// and the log goes on in a new one. Otherwise a torn tail that is written anew at the same offset
// would give away both versions.
//
// # In a segment file
//
// This is how engine/stream/disk uses it; docs/formats/segment.md has the bytes. The segment's
// header is followed by two key slots. A slot holds what NewSegmentKey returned as wrapped: the id
// of the master key, in clear, and the wrapped data key. Its aad is the segment's identity:
// incarnation of the stream, shard and first ordinal, so that a header which is copied to another
// segment does not open.
//
// Frames whose codec byte has the flag for it carry the sealed form of the body, Overhead bytes
// longer; compression comes before. The counter is the frame's offset in the segment, the aad is
// the frame's header from its length field on: whoever changes a count, an ordinal, an arrival
// time, a producer or the place of a frame makes it unreadable. The checksum is over the sealed
// bytes. So recovery, verify and dump work without a key; what they cannot see is records.
//
// In clear are headers (how many records and bytes arrived when, ordinals) and the ids and
// positions of producers. Partition keys, explicit hash keys and data are not.
//
// # Rotation
//
// Rewrap turns the wrapped data key of a header into one of the current master key; frames stay
// as they are. The new one goes to the slot that is free, is synced, and only then the old one
// is wiped: a crash at any point leaves one that opens.
//
// # Keys
//
// Package master has the master keys: files, environment variables, and key services through
// the program millrace-kms, which package cloud, a module of its own, provides.
// A wrong or missing key is a *KeyError that names the stream, the key it needs and the cure.
// No type of this package prints its key.
package seal
