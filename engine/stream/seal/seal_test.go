package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

// keyA and keyB are key files with one key each.
const (
	keyA = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	keyB = "EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8="
)

func masterKey(t testing.TB, text string) *master.Local {
	t.Helper()
	m, err := master.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ring(t testing.TB, text string) *seal.Ring { return seal.NewRing("orders", masterKey(t, text)) }

func newKey(t testing.TB, r seal.Keyring, aad string) (*seal.SegmentKey, []byte) {
	t.Helper()
	k, wrapped, err := r.NewSegmentKey(context.Background(), []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	return k, wrapped
}

func openKey(t testing.TB, r seal.Keyring, wrapped []byte, aad string) *seal.SegmentKey {
	t.Helper()
	k, err := r.OpenSegmentKey(context.Background(), wrapped, []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, k *seal.SegmentKey, text, aad string, counter uint64) []byte {
	t.Helper()
	b, err := k.Seal(nil, []byte(text), []byte(aad), counter)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedBytesOpenWithTheUnwrappedKey(t *testing.T) {
	r := ring(t, keyA)
	k, wrapped := newKey(t, r, "segment 7")
	b := sealed(t, k, "secret", "frame", 64)
	if len(b) != len("secret")+seal.Overhead || bytes.Contains(b, []byte("secret")) {
		t.Fatalf("sealed to %q", b)
	}
	for _, reader := range []*seal.SegmentKey{k, openKey(t, r, wrapped, "segment 7")} {
		got, err := reader.Open([]byte("before "), b, []byte("frame"), 64)
		if err != nil || string(got) != "before secret" {
			t.Fatalf("opened %q, %v", got, err)
		}
	}
}

func TestChangedBytesPlacesAndHeadersDoNotOpen(t *testing.T) {
	k, _ := newKey(t, ring(t, keyA), "")
	b := sealed(t, k, "secret", "frame", 64)
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if _, err := k.Open(nil, bad, []byte("frame"), 64); !errors.Is(err, seal.ErrDamaged) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	for i := range len(b) {
		if _, err := k.Open(nil, b[:i], []byte("frame"), 64); !errors.Is(err, seal.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := k.Open(nil, b, []byte("frame"), 65); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("moved: %v", err)
	}
	if _, err := k.Open(nil, b, []byte("Frame"), 64); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("other header: %v", err)
	}
	other, _ := newKey(t, ring(t, keyA), "")
	if _, err := other.Open(nil, b, []byte("frame"), 64); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("key of another segment: %v", err)
	}
}

func TestNoCounterIsUsedTwice(t *testing.T) {
	r := ring(t, keyA)
	k, wrapped := newKey(t, r, "")
	sealed(t, k, "one", "", 64)
	for _, counter := range []uint64{64, 63, 0} {
		if _, err := k.Seal(nil, []byte("two"), nil, counter); err == nil {
			t.Errorf("counter %d was accepted after 64", counter)
		}
	}
	sealed(t, k, "two", "", 65)
	if _, err := openKey(t, r, wrapped, "").Seal(nil, []byte("three"), nil, 1000); err == nil {
		t.Error("a key that was opened again seals")
	}
}

func TestFramesAreSealedInPlace(t *testing.T) {
	k, _ := newKey(t, ring(t, keyA), "")
	b := append(make([]byte, 0, 100), "secret"...)
	out, err := k.Seal(b[:0], b, nil, 1)
	if err != nil || &out[0] != &b[0] {
		t.Fatalf("sealing moved the bytes, %v", err)
	}
	got, err := k.Open(out[:0], out, nil, 1)
	if err != nil || string(got) != "secret" {
		t.Fatalf("opened %q, %v", got, err)
	}
}

func TestWrappedKeyOfAnotherSegmentIsRefused(t *testing.T) {
	r := ring(t, keyA)
	_, wrapped := newKey(t, r, "segment 7")
	_, err := r.OpenSegmentKey(context.Background(), wrapped, []byte("segment 8"))
	var bad *seal.KeyError
	if !errors.As(err, &bad) || !errors.Is(err, seal.ErrRefused) {
		t.Fatalf("error %v", err)
	}
}

func TestWrongKeyNamesStreamKeysAndCure(t *testing.T) {
	a, b := ring(t, keyA), ring(t, keyB)
	_, wrapped := newKey(t, a, "")
	_, err := b.OpenSegmentKey(context.Background(), wrapped, nil)
	var bad *seal.KeyError
	if !errors.As(err, &bad) || bad.Stream != "orders" || bad.Want != a.ID() || bad.Have != b.ID() {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{`"orders"`, a.ID(), b.ID(), "key file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %s", err, want)
		}
	}
	err = seal.Missing("orders", wrapped)
	if !errors.As(err, &bad) || bad.Have != "" || !strings.Contains(err.Error(), a.ID()) {
		t.Errorf("without a key: %v", err)
	}
}

func TestRewrappedKeyOpensWhatTheOldOneSealed(t *testing.T) {
	old, both, fresh := ring(t, keyA), ring(t, keyB+"\n"+keyA), ring(t, keyB)
	k, wrapped := newKey(t, old, "segment 7")
	b := sealed(t, k, "secret", "", 1)
	if _, err := both.OpenSegmentKey(context.Background(), wrapped, []byte("segment 7")); err != nil {
		t.Fatalf("the key file with both keys: %v", err)
	}
	again, err := both.Rewrap(context.Background(), wrapped, []byte("segment 7"))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := seal.WrappedBy(again); err != nil || id != fresh.ID() {
		t.Errorf("wrapped by %s, %v; want %s", id, err, fresh.ID())
	}
	if got, err := openKey(t, fresh, again, "segment 7").Open(nil, b, nil, 1); err != nil || string(got) != "secret" {
		t.Errorf("opened %q, %v", got, err)
	}
	if _, err := old.OpenSegmentKey(context.Background(), again, []byte("segment 7")); err == nil {
		t.Error("the old key opens what was wrapped again")
	}
}

func TestOlderMasterKeysOpenOnly(t *testing.T) {
	old := ring(t, keyA)
	_, wrapped := newKey(t, old, "")
	r := seal.NewRing("orders", masterKey(t, keyB), masterKey(t, keyA))
	openKey(t, r, wrapped, "")
	_, wrapped = newKey(t, r, "")
	if id, _ := seal.WrappedBy(wrapped); id != masterKey(t, keyB).ID() {
		t.Errorf("wrapped by %s", id)
	}
}

func TestManyReadersOpenAtOnce(t *testing.T) {
	r := ring(t, keyA)
	k, wrapped := newKey(t, r, "")
	var frames [][]byte
	for i := range 50 {
		frames = append(frames, sealed(t, k, fmt.Sprint(i), "", uint64(i)))
	}
	reader := openKey(t, r, wrapped, "")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i, f := range frames {
				if got, err := reader.Open(nil, f, nil, uint64(i)); err != nil || string(got) != fmt.Sprint(i) {
					t.Errorf("frame %d: %q, %v", i, got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestKeysArePrintedNowhere(t *testing.T) {
	m := masterKey(t, keyA)
	r := seal.NewRing("orders", m)
	k, _ := newKey(t, r, "")
	for _, v := range []any{k, *m, m, r} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "0x") || strings.Contains(text, "aead") || len(text) > 200 {
				t.Errorf("%T with %s prints %s", v, verb, text)
			}
		}
	}
}

// far is a key service with a mood.
type far struct{ err error }

func (far) ID() string        { return "far://key" }
func (far) Opens(string) bool { return true }
func (f far) Wrap(_ context.Context, key, _ []byte) ([]byte, error) {
	return bytes.Clone(key), f.err
}
func (f far) Unwrap(_ context.Context, _ string, wrapped, _ []byte) ([]byte, error) {
	return bytes.Clone(wrapped), f.err
}

func TestServiceThatIsAwayIsNoKeyError(t *testing.T) {
	away := errors.New("connection refused")
	_, wrapped := newKey(t, seal.NewRing("orders", far{}), "")
	_, err := seal.NewRing("orders", far{err: away}).OpenSegmentKey(context.Background(), wrapped, nil)
	var bad *seal.KeyError
	if !errors.Is(err, away) || errors.As(err, &bad) || !strings.Contains(err.Error(), "far://key") {
		t.Errorf("error %v", err)
	}
}

func FuzzWrappedKey(f *testing.F) {
	r := seal.NewRing("orders", far{})
	_, wrapped := newKey(f, r, "")
	f.Add(wrapped)
	f.Add(wrapped[:6])
	f.Add([]byte{1, 1, 255, 255, 255, 255, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := seal.WrappedBy(b)
		if err != nil {
			return
		}
		if id == "" || len(b) > seal.MaxWrapped || strings.ContainsAny(id, "\n\x1b\x00") {
			t.Errorf("accepted id %q in %d bytes", id, len(b))
		}
		// The service hands back whatever it gets; a key of a wrong size is an error, no panic.
		if _, err := r.OpenSegmentKey(context.Background(), b, nil); err == nil && len(b) != 6+len(id)+32 {
			t.Errorf("opened a data key of %d bytes", len(b)-6-len(id))
		}
	})
}

const frameSize = 256 << 10

func BenchmarkSeal(b *testing.B) {
	k, _ := newKey(b, ring(b, keyA), "")
	plain, aad, dst := make([]byte, frameSize), make([]byte, 56), make([]byte, 0, frameSize+seal.Overhead)
	b.SetBytes(frameSize)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := k.Seal(dst, plain, aad, uint64(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k, _ := newKey(b, ring(b, keyA), "")
	aad, dst := make([]byte, 56), make([]byte, 0, frameSize)
	frame, err := k.Seal(nil, make([]byte, frameSize), aad, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(frameSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(dst, frame, aad, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSealAndOpenAllocateNothing(t *testing.T) {
	k, _ := newKey(t, ring(t, keyA), "")
	plain, dst, out := make([]byte, 1000), make([]byte, 0, 1016), make([]byte, 0, 1000)
	counter := uint64(0)
	allocs := testing.AllocsPerRun(200, func() {
		counter++
		frame, err := k.Seal(dst, plain, nil, counter)
		if err == nil {
			_, err = k.Open(out, frame, nil, counter)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if allocs >= 1 {
		t.Errorf("%v allocations", allocs)
	}
}
