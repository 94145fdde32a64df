package record

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestRememberedHashesAreThoseOfTheKeys(t *testing.T) {
	var h Hashes
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		// Keys of all lengths, also none, of which many share a slot and begin alike.
		key := fmt.Appendf(nil, "%0*d", random.IntN(30), random.IntN(5000))
		key = key[:random.IntN(len(key)+1)]
		if got, want := h.Hash(key), Hash(key); got != want {
			t.Fatalf("key %q has hash %s, want %s", key, got, want)
		}
	}
}

func BenchmarkHashes(b *testing.B) {
	for _, keys := range []int{1, 1000, 4000, 1_000_000} {
		random := rand.New(rand.NewPCG(1, 2))
		all := make([][]byte, 1<<16)
		for i := range all {
			all[i] = fmt.Appendf(nil, "user-%06d", random.IntN(keys))
		}
		b.Run(fmt.Sprintf("keys=%d/computed", keys), func(b *testing.B) {
			for i := range b.N {
				Hash(all[i%len(all)])
			}
		})
		b.Run(fmt.Sprintf("keys=%d/remembered", keys), func(b *testing.B) {
			var h Hashes
			for i := range b.N {
				h.Hash(all[i%len(all)])
			}
		})
	}
}
