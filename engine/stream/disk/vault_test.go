package disk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/engine/stream/streamtest"
	"github.com/millrace-io/millrace/engine/vfs"
)

// Master keys for tests, by the names that ShardOptions.Key has.
var masterKeys = map[string]string{
	"a": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	"b": "EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8=",
}

// testKeys knows names of one letter, and of two: the first key wraps, both open.
func testKeys(name, key string) (seal.Keyring, error) {
	var text strings.Builder
	for _, k := range key {
		if masterKeys[string(k)] == "" {
			return nil, fmt.Errorf("there is no key %q", k)
		}
		fmt.Fprintln(&text, masterKeys[string(k)])
	}
	m, err := master.Parse([]byte(text.String()))
	if err != nil {
		return nil, err
	}
	return seal.NewRing(name, m), nil
}

// encrypting makes every log of a backend an encrypted one.
type encrypting struct{ stream.Backend }

func (e encrypting) Shard(ctx context.Context, name string, id record.ShardID, o stream.ShardOptions) (stream.Log, error) {
	o.Key, o.Encrypt = "a", true
	log, err := e.Backend.Shard(ctx, name, id, o)
	if err != nil {
		return nil, err
	}
	return encryptingLog{log}, nil
}

type encryptingLog struct{ stream.Log }

func (e encryptingLog) Configure(o stream.ShardOptions) {
	o.Key, o.Encrypt = "a", true
	e.Log.Configure(o)
}

func TestEncryptedConformance(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) *streamtest.Backend {
		c, fs := newClock(), vfs.NewMem()
		b := &streamtest.Backend{Advance: c.advance, Now: c.now}
		open := func() stream.Backend {
			back, err := Open(fs, "data", Options{Now: c.now, SegmentSize: 8 << 10, Reserve: 1, Keys: testKeys})
			if err != nil {
				t.Fatal(err)
			}
			return encrypting{back}
		}
		b.Backend = open()
		b.Reopen = func() stream.Backend {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			return open()
		}
		return b
	})
}

func TestNothingEncryptedIsLostByPowerCuts(t *testing.T) {
	m := streamtest.Model{
		Steps: 60,
		Open: func(fs vfs.FS, now func() time.Time) (stream.Backend, error) {
			back, err := Open(fs, "data", Options{Now: now, SegmentSize: 6 << 10, Reserve: 1, Keys: testKeys})
			if err != nil {
				return nil, err
			}
			return encrypting{back}, nil
		},
	}
	var crashes int
	for seed := range uint64(40) {
		r, err := m.Run(seed)
		if err != nil {
			t.Fatal(err)
		}
		crashes += r.Crashes
	}
	t.Logf("%d crash states", crashes)
}

// vault is a rig whose log is encrypted as its shard options say.
type vault struct {
	*rig
	shard stream.ShardOptions
}

const vaultSegment = 8 << 10

func newVault(t *testing.T, key string) *vault {
	v := &vault{
		rig:   &rig{t: t, fs: vfs.NewMem(), clock: newClock(), o: Options{Reserve: 1, SegmentSize: vaultSegment, Keys: testKeys}},
		shard: stream.ShardOptions{Key: key, Encrypt: key != "", Incarnation: 5},
	}
	v.o.Now = v.clock.now
	v.open()
	t.Cleanup(v.close)
	return v
}

func (v *vault) open() {
	v.t.Helper()
	if err := v.tryOpen(); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) tryOpen() (err error) {
	if v.back, err = Open(v.fs, "data", v.o); err == nil {
		v.log, err = v.back.Shard(context.Background(), "s", 0, v.shard)
	}
	return err
}

// with closes the log and opens it with another key.
func (v *vault) with(key string) error {
	v.t.Helper()
	v.close()
	v.shard.Key, v.shard.Encrypt = key, key != ""
	return v.tryOpen()
}

func (v *vault) content(name string) []byte {
	v.t.Helper()
	b, err := readFile(v.fs, name, 1<<30)
	if err != nil {
		v.t.Fatal(err)
	}
	return b
}

// everything is all files by name.
func (v *vault) everything() map[string]string {
	v.t.Helper()
	all := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		names, err := v.fs.List(dir)
		if err != nil {
			all[dir] = string(v.content(dir))
			return
		}
		for _, n := range names {
			walk(path.Join(dir, n))
		}
	}
	walk("data")
	return all
}

func (v *vault) wantAll() {
	v.t.Helper()
	if lost := v.read(); len(lost) > 0 {
		v.t.Fatalf("lost %v", lost)
	}
	if next := v.log.Bounds().Next; int(next) != len(v.want) {
		v.t.Fatalf("the log ends at %d, want %d", next, len(v.want))
	}
}

func (v *vault) wantKeyError(err error) {
	v.t.Helper()
	var bad *seal.KeyError
	if !errors.As(err, &bad) || bad.Stream != "s" {
		v.t.Fatalf("error %v, want a *seal.KeyError of stream s", err)
	}
}
