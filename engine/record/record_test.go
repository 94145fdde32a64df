package record

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"testing"
)

func TestHashIsTheMD5OfTheKey(t *testing.T) {
	// The digest of "abc" in RFC 1321, A.5.
	want, _ := new(big.Int).SetString("900150983cd24fb0d6963f7d28e17f72", 16)
	if got := Hash([]byte("abc")); got.String() != want.String() {
		t.Errorf("Hash(abc) = %s, want %s", got, want)
	}
}

func TestEvenRangesCoverAllHashKeysOnce(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 1000} {
		ranges := EvenRanges(n)
		if len(ranges) != n || ranges[0].Start != (HashKey{}) || ranges[n-1].End != MaxHashKey {
			t.Fatalf("%d ranges from %s to %s", len(ranges), ranges[0].Start, ranges[len(ranges)-1].End)
		}
		for i := 1; i < n; i++ {
			gap := new(big.Int).Sub(ranges[i].Start.big(), ranges[i-1].End.big())
			if gap.Cmp(big.NewInt(1)) != 0 {
				t.Errorf("%d ranges: range %d begins %s after the end of the one before", n, i, gap)
			}
		}
	}
	if got := EvenRanges(3)[0].End.String(); got != "113427455640312821154458202477256070484" {
		t.Errorf("end of the first third is %s", got)
	}
}

func TestHashKeyIsSpeltInDecimal(t *testing.T) {
	for _, text := range []string{"0", "18446744073709551616", MaxHashKey.String()} {
		k, err := ParseHashKey(text)
		if err != nil || k.String() != text {
			t.Errorf("ParseHashKey(%q) = %s, %v", text, k, err)
		}
	}
	for _, text := range []string{"", "-1", "1e3", "0x10", "340282366920938463463374607431768211456"} {
		if k, err := ParseHashKey(text); err == nil {
			t.Errorf("ParseHashKey(%q) = %s", text, k)
		}
	}
}

func TestBatchReturnsWhatWasAdded(t *testing.T) {
	var b, odd Batch
	for i := range 100 {
		key, data := fmt.Appendf(nil, "key%d", i), bytes.Repeat([]byte{byte(i)}, i*7)
		if i%3 == 0 {
			b.AddExplicit(key, HashKey{Hi: uint64(i), Lo: 5}, data, int64(i))
		} else {
			b.Add(key, data, int64(i))
		}
		if i%2 == 1 {
			odd.AddFrom(&b, i)
		}
	}
	for i := range 100 {
		check(t, b.Record(i), b.Hash(i), b.Position(i), i)
		r, _, err := Next(b.Body(i))
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, b.Hash(i), int64(i), i)
	}
	for i := range 50 {
		check(t, odd.Record(i), odd.Hash(i), odd.Position(i), 2*i+1)
	}
	if b.Body(100) != nil || odd.Len() != 50 {
		t.Errorf("body behind the last record: %d bytes; %d odd records", len(b.Body(100)), odd.Len())
	}
}

func check(t *testing.T, r Record, hash HashKey, pos int64, i int) {
	t.Helper()
	want := Hash(fmt.Appendf(nil, "key%d", i))
	if i%3 == 0 {
		want = HashKey{Hi: uint64(i), Lo: 5}
	}
	if string(r.Key) != fmt.Sprintf("key%d", i) || len(r.Data) != i*7 || r.HasExplicit != (i%3 == 0) || hash != want || pos != int64(i) {
		t.Errorf("record %d is %q with %d bytes, hash key %s, position %d", i, r.Key, len(r.Data), hash, pos)
	}
}

func TestResetKeepsNothing(t *testing.T) {
	b := Batch{Producer: Producer{ID: 1, Epoch: 2}, End: 3}
	b.Add([]byte("k"), []byte("v"), 3)
	b.Reset()
	if b.Len() != 0 || b.Size() != 0 || b.End != 0 || b.Producer != (Producer{}) {
		t.Errorf("after Reset: %+v", b)
	}
}

func FuzzNext(f *testing.F) {
	var b Batch
	b.Add([]byte("key"), []byte("data"), 1)
	b.AddExplicit([]byte(""), MaxHashKey, nil, 2)
	f.Add(b.Body(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		for len(body) > 0 {
			r, rest, err := Next(body)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
				return
			}
			if len(rest) >= len(body) || len(r.Key)+len(r.Data) > len(body)-len(rest) {
				t.Errorf("%d of %d bytes left, record of %d", len(rest), len(body), len(r.Key)+len(r.Data))
			}
			body = rest
		}
	})
}

func TestSpaceInABatchIsARecord(t *testing.T) {
	var want, got Batch
	hash := HashKey{Hi: 1, Lo: 2}
	for i, size := range []int{0, 1, 200, 5000} {
		data := bytes.Repeat([]byte{byte(i)}, size)
		want.Add([]byte("key"), data, 0)
		want.AddExplicit([]byte("k"), hash, data, 0)
		copy(got.AddSpace([]byte("key"), nil, size), data)
		copy(got.AddSpace([]byte("k"), &hash, size), data)
	}
	if !bytes.Equal(want.Body(0), got.Body(0)) || want.Len() != got.Len() || !got.Within(5100, 3) || got.Within(5000, 3) {
		t.Errorf("%d records of %d bytes, want %d of %d", got.Len(), got.Size(), want.Len(), want.Size())
	}
}

func TestResetLetsGoOfWhatAVeryLargeRecordTook(t *testing.T) {
	b := &Batch{}
	for _, c := range []struct {
		size int
		kept bool
	}{{1 << 20, true}, {10 << 20, false}} {
		b.Add([]byte("key"), make([]byte, c.size), 0)
		if b.Reset(); (cap(b.body) > 0) != c.kept {
			t.Errorf("after %d bytes the batch keeps %d", c.size, cap(b.body))
		}
	}
}

func TestARecordThatTakesItsMemoryIsAsIfItWereAdded(t *testing.T) {
	for _, key := range []string{"", "key", string(bytes.Repeat([]byte("k"), 1000))} {
		data := bytes.Repeat([]byte("data"), 5000)
		from := MaxHead(len(key))
		block := append(bytes.Repeat([]byte{0xff}, from), data...)
		var want, got Batch
		want.Add([]byte(key), data, 7)
		got.Take([]byte(key), block, from, 7)
		if !bytes.Equal(want.Body(0), got.Body(0)) || got.Len() != 1 || got.Position(0) != 7 || got.Hash(0) != want.Hash(0) {
			t.Errorf("a key of %d bytes: %d records of %d bytes, want %d", len(key), got.Len(), got.Size(), want.Size())
		}
		if &got.body[len(got.body)-1] != &block[len(block)-1] {
			t.Errorf("a key of %d bytes: the data was copied", len(key))
		}
		want.Add([]byte("next"), data, 8)
		got.Add([]byte("next"), data, 8)
		if !bytes.Equal(want.Body(0), got.Body(0)) || !bytes.Equal(want.Body(1), got.Body(1)) {
			t.Errorf("a key of %d bytes: the record after it is another one", len(key))
		}
	}
}

func TestARecordThatIsWrittenInPlaceIsAsIfItWereAdded(t *testing.T) {
	var want, got Batch
	for i, size := range []int{300, 0, 1, 127, 128, 16_383, 16_384, 5, 1 << 21, 200} {
		data := bytes.Repeat([]byte{byte(i + 1)}, size)
		want.Add(nil, data, int64(i+1))
		got.Finish(append(got.Begin(), data...), int64(i+1))
	}
	want.End, got.End = 10, 10
	for i := range want.Len() {
		if !bytes.Equal(got.Record(i).Data, want.Record(i).Data) || len(got.Record(i).Key) > 0 {
			t.Errorf("record %d has %d bytes, want %d", i, len(got.Record(i).Data), len(want.Record(i).Data))
		}
	}
	if !bytes.Equal(got.Body(0), want.Body(0)) || got.largest != want.largest || got.longest != want.longest {
		t.Error("the batches differ")
	}
	got.Shift(1 << 32)
	if got.End != 1<<32+10 || got.Position(0) != 1<<32+1 || got.Position(9) != 1<<32+10 {
		t.Errorf("positions %d to %d, end %d", got.Position(0), got.Position(9), got.End)
	}
}
