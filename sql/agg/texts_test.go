package agg

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestTextsStayWhatTheyWereSetTo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	var all texts
	want := make([][]byte, 0, 300)
	for range 20_000 {
		if len(want) < cap(want) && r.IntN(4) == 0 {
			want = append(want, nil)
			all.grow(len(want))
			continue
		}
		if len(want) == 0 {
			continue
		}
		i := r.IntN(len(want))
		size := r.IntN(100)
		if r.IntN(100) == 0 {
			size = r.IntN(3 * largeBlock)
		}
		want[i] = bytes.Repeat([]byte{byte(r.Uint32())}, size)
		all.set(uint32(i), want[i])
		if k := r.IntN(len(want)); !bytes.Equal(all.get(uint32(k)), want[k]) {
			t.Fatalf("text %d has %d bytes, want %d", k, len(all.get(uint32(k))), len(want[k]))
		}
	}
	for i := range want {
		if !bytes.Equal(all.get(uint32(i)), want[i]) {
			t.Fatalf("text %d differs", i)
		}
	}
}

func TestPlacesOfTextsAreUsedAgain(t *testing.T) {
	var all texts
	all.grow(1000)
	fill := func(size int) int64 {
		for i := range uint32(1000) {
			all.set(i, make([]byte, size))
		}
		return all.memory()
	}
	fill(100)
	most := fill(300)
	for range 50 {
		for _, size := range []int{300, 290, 0, 301} {
			if held := fill(size); held > most {
				t.Fatalf("%d bytes are held, %d before", held, most)
			}
		}
	}
	// Texts that move leave places for those behind them.
	for i := range uint32(1000) {
		all.set(i, make([]byte, 600))
	}
	most = all.memory()
	all.grow(2000)
	for i := range uint32(1000) {
		all.set(1000+i, make([]byte, 300))
	}
	if held := all.memory(); held > most+1000*32 {
		t.Errorf("%d bytes are held, %d before there were texts for the places left", held, most)
	}
}

func TestRoomForATextIsLittleMore(t *testing.T) {
	for n := uint32(0); n < 1<<20; n += 1 + n/100 {
		if room := roomFor(n); room < n || room > n+max(8, n/8) || roomFor(room) != room {
			t.Errorf("%d bytes have room for %d, which have for %d", n, room, roomFor(room))
		}
	}
}
