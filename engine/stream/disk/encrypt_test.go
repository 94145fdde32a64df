package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestNoPlaintextReachesTheDisk(t *testing.T) {
	for _, compression := range []stream.Compression{stream.NoCompression, stream.Zstd} {
		for _, key := range []string{"a", ""} {
			v := newVault(t, key)
			v.log.Configure(stream.ShardOptions{Key: key, Encrypt: key != "", Compression: compression})
			var b record.Batch
			secret := "4711-9f3b-77e0-c2d5"
			for range 100 {
				b.Add([]byte("key "+secret), []byte("data "+secret+fmt.Sprint(rand.Uint64(), rand.Uint64(), rand.Uint64())), 0)
			}
			if _, err := v.log.Append(context.Background(), &b); err != nil {
				t.Fatal(err)
			}
			found := false
			for name, text := range v.everything() {
				if strings.Contains(text, secret) {
					found = true
					if key != "" {
						t.Errorf("%s: plaintext in %s", compression, name)
					}
				}
			}
			if !found && key == "" && compression == stream.NoCompression {
				t.Error("the test finds nothing in clear segments either")
			}
		}
	}
}

func TestWrongOrMissingKeyIsSaidAndChangesNothing(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(60, 200)
	for _, key := range []string{"b", "", "?"} {
		v.close()
		before := v.everything()
		v.shard.Key, v.shard.Encrypt = key, key != ""
		err := v.tryOpen()
		if key == "?" {
			if err == nil || !strings.Contains(err.Error(), "there is no key") {
				t.Errorf("key %q: %v", key, err)
			}
		} else {
			v.wantKeyError(err)
		}
		v.back.Close()
		for name, text := range v.everything() {
			if before[name] != text && !strings.HasSuffix(name, "LOCK") {
				t.Errorf("key %q: %s was changed", key, name)
			}
		}
		v.shard.Key, v.shard.Encrypt = "a", true
		v.open()
		v.wantAll()
	}
	if err := v.with("ba"); err != nil {
		t.Fatal(err)
	}
	v.wantAll()
}

func TestEncryptionSwitchedOnLaterLeavesOlderRecordsInClear(t *testing.T) {
	v := newVault(t, "")
	v.mustAppend(20, 200)
	clear := len(v.segments())
	v.log.Configure(stream.ShardOptions{Key: "a", Encrypt: true})
	v.mustAppend(60, 200)
	v.wantAll()
	v.log.Configure(stream.ShardOptions{Key: "a"})
	v.mustAppend(20, 200)
	v.wantAll()
	var kinds []bool
	for _, s := range v.segments() {
		h, err := parseHeader(v.content(s))
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, h.encrypted)
	}
	last := len(kinds) - 1
	if !slices.Contains(kinds, true) || slices.Contains(kinds[:clear], true) || slices.Contains(kinds[clear:last], false) || kinds[last] {
		t.Errorf("%d segments were in clear, then encrypted are %v", clear, kinds)
	}
	if err := v.with("a"); err != nil {
		t.Fatal(err)
	}
	v.wantAll()
}

func TestEncryptedSegmentTakesNoRecordsInClear(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(5, 200)
	v.close()
	v.shard.Encrypt = false
	v.open()
	v.mustAppend(5, 200)
	v.wantAll()
	if n := len(v.segments()); n != 2 {
		t.Errorf("%d segments", n)
	}
}

func TestOlderRecordsNeedTheirKeyWhenRead(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(20, 200)
	v.log.Configure(stream.ShardOptions{Key: "a"})
	v.mustAppend(20, 200)
	if err := v.with(""); err != nil {
		t.Fatal(err)
	}
	var buf stream.Buffer
	_, err := v.log.Read(context.Background(), 0, &buf)
	v.wantKeyError(err)
	if !strings.Contains(err.Error(), "encryption.key") {
		t.Errorf("no cure in %v", err)
	}
	if frames, err := v.log.Read(context.Background(), 20, &buf); err != nil || len(frames) == 0 {
		t.Errorf("records in clear: %d frames, %v", len(frames), err)
	}
	v.want = v.want[:0]
	if err := v.with("a"); err != nil {
		t.Fatal(err)
	}
}

func TestSegmentIsNotSealedAgainAfterReopening(t *testing.T) {
	for _, again := range []func(v *vault){
		func(v *vault) { v.close() },
		func(v *vault) { next := v.fs.Restart(); v.close(); v.fs = next },
	} {
		v := newVault(t, "a")
		v.mustAppend(5, 200)
		again(v)
		v.open()
		first := v.segments()[0]
		before := v.content(first)
		v.mustAppend(5, 200)
		if len(v.segments()) != 2 || !bytes.Equal(before, v.content(first)) {
			t.Errorf("%d segments; the first one has %d bytes, had %d", len(v.segments()), len(v.content(first)), len(before))
		}
		v.wantAll()
	}
}

func TestOpeningWithoutAppendsMakesNoSegments(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(5, 200)
	for range 5 {
		if err := v.with("a"); err != nil {
			t.Fatal(err)
		}
		v.wantAll()
	}
	if n := len(v.segments()); n != 1 {
		t.Errorf("%d segments", n)
	}
}

func TestRewrappingTouchesHeadersOnly(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(60, 200)
	if err := v.with("ba"); err != nil {
		t.Fatal(err)
	}
	before := v.everything()
	n, err := v.back.Rewrap(context.Background(), "s")
	if err != nil || n != len(v.segments()) {
		t.Fatalf("%d of %d segments, %v", n, len(v.segments()), err)
	}
	for name, text := range v.everything() {
		old := before[name]
		switch {
		case !strings.HasSuffix(name, ".seg"):
			if old != text {
				t.Errorf("%s was changed", name)
			}
		case old[:slotStart] != text[:slotStart] || old[encryptedHeader:] != text[encryptedHeader:]:
			t.Errorf("%s was changed outside its key slots", name)
		case old == text:
			t.Errorf("%s is as before", name)
		default:
			// Of the old key nothing is left.
			slot, _, _ := findSlot([]byte(old))
			if strings.Contains(text, string(slot.wrapped)) {
				t.Errorf("%s still has the key as it was wrapped before", name)
			}
		}
	}
	v.wantAll()
	v.wantKeyError(v.with("a"))
	v.shard.Key = "b"
	v.back.Close()
	v.open()
	v.wantAll()
	v.mustAppend(3, 10)
	v.wantAll()
}

func TestRewrappingSurvivesPowerCuts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for step := range int64(16) {
		v := newVault(t, "a")
		v.mustAppend(60, 200)
		if err := v.with("ba"); err != nil {
			t.Fatal(err)
		}
		// The power goes at some write or sync.
		var n atomic.Int64
		v.fs.SetFault(func(o vfs.Op) error {
			if (o.Kind == "write" || o.Kind == "sync") && n.Add(1) > step {
				return errors.New("power cut")
			}
			return nil
		})
		if _, err := v.back.Rewrap(context.Background(), "s"); err == nil {
			t.Fatalf("step %d: no power cut", step)
		}
		crashed := v.fs.Crash(r)
		v.fs.SetFault(nil)
		v.close()
		v.fs = crashed
		v.open()
		v.wantAll()
		if again, err := v.back.Rewrap(context.Background(), "s"); err != nil || again != len(v.segments()) {
			t.Fatalf("step %d: wrapped %d of %d again, %v", step, again, len(v.segments()), err)
		}
		if err := v.with("b"); err != nil {
			t.Fatal(err)
		}
		v.wantAll()
	}
}

func TestRewrappingFindsARotatedKeyFile(t *testing.T) {
	current := "a"
	v := newVault(t, "a")
	v.back.options.Keys = func(name, _ string) (seal.Keyring, error) { return testKeys(name, current) }
	v.mustAppend(60, 200)
	current = "ba"
	if _, err := v.back.Rewrap(context.Background(), "s"); err != nil {
		t.Fatal(err)
	}
	v.mustAppend(60, 200)
	if err := v.with("b"); err != nil {
		t.Fatal(err)
	}
	v.wantAll()
}

func TestDamagedKeySlotsAreReportedForTheirSegment(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(60, 200)
	segments := v.segments()
	v.close()
	for _, s := range []int{0, len(segments) - 1} {
		if err := v.fs.Flip(segments[s], slotStart+20); err != nil {
			t.Fatal(err)
		}
	}
	v.open()
	lost := v.read()
	if len(lost) == 0 || len(lost) > 40 || lost[30] {
		t.Errorf("lost %v", lost)
	}
	v.mustAppend(3, 10)
	v.read()
}

func TestChangedFrameWithGoodChecksumIsDamage(t *testing.T) {
	// A byte of the body, the arrival time, the producer.
	for _, at := range []int{frameHeader + 5, 32, 40} {
		v := newVault(t, "a")
		v.mustAppend(3, 200)
		v.close()
		name := v.segments()[0]
		b := v.content(name)
		h, err := parseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		frame := b[encryptedHeader:]
		f, _ := parseFrame(frame, h.seed)
		frame = frame[:frameHeader+f.size]
		frame[at] ^= 1
		binary.LittleEndian.PutUint32(frame[4:], crc32.Update(h.seed, castagnoli, frame[8:frameHeader]))
		binary.LittleEndian.PutUint32(frame, crc32.Update(h.seed, castagnoli, frame[4:]))
		file, err := v.fs.OpenReadWrite(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(frame, encryptedHeader); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			t.Fatal(err)
		}
		v.open()
		var buf stream.Buffer
		var corrupt *stream.CorruptError
		if _, err := v.log.Read(context.Background(), 0, &buf); !errors.As(err, &corrupt) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

func TestHeaderOfAnotherSegmentOpensNothing(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(60, 200)
	v.close()
	segments := v.segments()
	slots := v.content(segments[1])[slotStart:encryptedHeader]
	f, err := v.fs.OpenReadWrite(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(slots, slotStart); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	v.open()
	var buf stream.Buffer
	_, err = v.log.Read(context.Background(), 0, &buf)
	v.wantKeyError(err)
}

// moody is a keyring whose service is away now and then.
type moody struct {
	seal.Keyring
	away *atomic.Bool
}

var errAway = errors.New("the key service is away")

func (m moody) NewSegmentKey(ctx context.Context, aad []byte) (*seal.SegmentKey, []byte, error) {
	if m.away.Load() {
		return nil, nil, errAway
	}
	return m.Keyring.NewSegmentKey(ctx, aad)
}

func TestAppendsGoOnWhenTheKeyServiceIsBack(t *testing.T) {
	var away atomic.Bool
	v := newVault(t, "a")
	keys, err := testKeys("s", "a")
	if err != nil {
		t.Fatal(err)
	}
	v.back.options.Keys = func(string, string) (seal.Keyring, error) { return moody{keys, &away}, nil }
	if _, err := v.back.Rewrap(context.Background(), "s"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		away.Store(true)
		refused := 0
		// What the open segment takes, it takes.
		for range 60 {
			if err := v.append(200); errors.Is(err, errAway) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if refused == 0 {
			t.Error("no append needed a new key")
		}
		v.wantAll()
		away.Store(false)
		v.mustAppend(5, 200)
		v.wantAll()
	}
}

func TestKeyThatCannotBeUsedStopsAppendsAndWritesNothingInClear(t *testing.T) {
	v := newVault(t, "")
	v.mustAppend(3, 10)
	v.log.Configure(stream.ShardOptions{Key: "?", Encrypt: true})
	if err := v.append(10); err == nil || !strings.Contains(err.Error(), "there is no key") {
		t.Errorf("append: %v", err)
	}
	v.log.Configure(stream.ShardOptions{})
	v.mustAppend(3, 10)
	v.wantAll()
}

func TestRecoveryNeedsNoKey(t *testing.T) {
	v := newVault(t, "a")
	v.mustAppend(60, 200)
	v.close()
	defer v.open()
	next := record.Ordinal(0)
	for _, name := range v.segments() {
		f, err := v.fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseHeader(v.content(name))
		if err != nil || h.first != next {
			t.Fatalf("%s: %+v, %v", name, h, err)
		}
		size, _ := f.Size()
		l := &Log{backend: v.back}
		found, err := scan(l.scanner(f, size, h.seed), h.index(), unsealed)
		if err != nil || len(found.lost) > 0 || found.torn {
			t.Errorf("%s: %+v, %v", name, found.lost, err)
		}
		next = found.next
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if int(next) != len(v.want) {
		t.Errorf("%d records found, want %d", next, len(v.want))
	}
}

func TestStreamIsEncryptedByItsSettings(t *testing.T) {
	ctx := context.Background()
	v := newVault(t, "a")
	spec := stream.Spec{Name: "orders", Shards: 2, Settings: stream.Settings{KeyID: "a"}, Now: v.clock.now}
	s, err := stream.Open(ctx, v.back, spec)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		var b record.Batch
		for i := range 20 {
			b.Add(fmt.Append(nil, i), []byte(text), 0)
		}
		if err := s.Write(ctx, &b); err != nil {
			t.Fatal(err)
		}
	}
	inClear := func(text string) bool {
		for name, content := range v.everything() {
			if strings.Contains(name, "orders") && strings.Contains(content, text) {
				return true
			}
		}
		return false
	}
	write("first text")
	if err := s.Split(ctx, 0, record.HashKey{Hi: 1 << 60}); err != nil {
		t.Fatal(err)
	}
	write("second text")
	if inClear("first text") || inClear("second text") {
		t.Error("records are in clear")
	}
	if err := s.Decrypt(ctx); err != nil {
		t.Fatal(err)
	}
	write("third text")
	if !inClear("third text") {
		t.Error("encryption was not switched off")
	}
	if err := s.Encrypt(ctx, "?"); err == nil {
		t.Error("encryption was switched on with a key that there is not")
	}
	if err := s.Encrypt(ctx, "ba"); err != nil {
		t.Fatal(err)
	}
	write("fourth text")
	if n, err := s.Rewrap(ctx); err != nil || n < 4 {
		t.Errorf("%d segments wrapped again, %v", n, err)
	}
	if d := s.Describe(); d.Settings.KeyID != "ba" || d.Settings.Encryption != stream.AtRest || inClear("fourth text") {
		t.Errorf("settings %+v", d.Settings)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The name in the document may lead nowhere any more: what the spec says wins.
	v.close()
	v.open()
	spec.Settings.KeyID, spec.Shards = "b", 0
	if s, err = stream.Open(ctx, v.back, spec); err != nil {
		t.Fatal(err)
	}
	records := 0
	for _, sh := range s.Shards() {
		records += int(s.Log(sh.ID).Bounds().Next)
	}
	if records != 80 {
		t.Errorf("%d records, want 80", records)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNewerKeySlotCounts(t *testing.T) {
	for newer := range 2 {
		head := make([]byte, encryptedHeader)
		for i := range 2 {
			slot := keySlot{generation: 8, wrapped: []byte("old")}
			if i == newer {
				slot = keySlot{generation: 9, wrapped: []byte("new")}
			}
			b, err := slot.encode()
			if err != nil {
				t.Fatal(err)
			}
			copy(head[slotOffset(i):], b)
		}
		if s, at, err := findSlot(head); err != nil || at != newer || string(s.wrapped) != "new" {
			t.Errorf("slot %d with %q, %v; want %d", at, s.wrapped, err, newer)
		}
	}
}

func FuzzKeySlots(f *testing.F) {
	good, err := appendSlots(header{encrypted: true}.append(nil), bytes.Repeat([]byte{7}, 100))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[slotStart:])
	f.Add(make([]byte, 2*slotSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		head := make([]byte, encryptedHeader)
		copy(head[slotStart:], b)
		slot, at, err := findSlot(head)
		if err == nil && (at < 0 || at > 1 || len(slot.wrapped) == 0 || len(slot.wrapped) > slotSize-slotFixed) {
			t.Errorf("slot %d with %d bytes", at, len(slot.wrapped))
		}
	})
}

func BenchmarkEncryptedAppend(b *testing.B) {
	for _, key := range []string{"", "a"} {
		b.Run("key="+key, func(b *testing.B) {
			back, err := Open(vfs.OS{}, b.TempDir(), Options{Keys: testKeys})
			if err != nil {
				b.Fatal(err)
			}
			log, err := back.Shard(b.Context(), "s", 0, stream.ShardOptions{Key: key, Encrypt: key != "", Sync: stream.SyncNever})
			if err != nil {
				b.Fatal(err)
			}
			var batch record.Batch
			fill4000(&batch, benchKeys(), make([]byte, 258), 0)
			batch.Producer = record.Producer{}
			b.SetBytes(int64(batch.Size()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := log.Append(b.Context(), &batch); err != nil {
					b.Fatal(err)
				}
			}
			if err := back.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
