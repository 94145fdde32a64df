package file

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/sources/sourcestest"
)

// directory is files that a source follows, and the program that writes them.
type directory struct {
	t   *testing.T
	dir string
	s   *sourcestest.Stream
	env *sourcestest.Env
	c   Config
	// stop ends the source.
	stop func()
}

// following runs the body with a source that follows a pattern, in virtual time.
func following(t *testing.T, pattern string, body func(d *directory)) {
	synctest.Test(t, func(t *testing.T) {
		d := &directory{t: t, dir: t.TempDir(), s: sourcestest.New(3)}
		d.c = reading(filepath.Join(d.dir, pattern))
		d.c.Follow = true
		d.run()
		defer func() { d.stop() }()
		body(d)
	})
}

func (d *directory) run() {
	d.env = sourcestest.NewEnv("log")
	s := &source{cfg: d.c, env: d.env.Env, batchSize: 300}
	if s.Bounded() {
		d.t.Fatal("following has no end")
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, d.s) }()
	d.stop = func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	}
	d.look()
}

func (d *directory) restart() {
	d.stop()
	d.run()
}

// look lets the source look at the files; wait until it lost patience with those that are gone.
func (d *directory) look() { time.Sleep(pollInterval + time.Millisecond) }
func (d *directory) wait() { time.Sleep((patience + 2) * pollInterval) }

func (d *directory) path(name string) string { return filepath.Join(d.dir, name) }

func (d *directory) append(name, text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	d.ok(err)
}

func (d *directory) ok(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *directory) rename(from, to string) {
	d.t.Helper()
	d.ok(os.Rename(d.path(from), d.path(to)))
}

func (d *directory) content(name string) []byte {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	d.ok(err)
	return b
}

func (d *directory) want(lines ...string) {
	d.t.Helper()
	want(d.t, d.s, lines...)
}

func TestFollowTakesLinesOnceTheyAreWhole(t *testing.T) {
	following(t, "app.log", func(d *directory) {
		d.want()
		d.append("app.log", `{"n":1`)
		d.look()
		d.want()
		d.append("app.log", "}\n{\"n\":2}\n{\"n\":3")
		d.look()
		d.want(`{"n":1}`, `{"n":2}`)
		d.wait()
		d.want(`{"n":1}`, `{"n":2}`)
		d.append("app.log", "}\n")
		d.look()
		d.want(`{"n":1}`, `{"n":2}`, `{"n":3}`)
		if err := d.env.LastStatus(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFollowResumesAfterARestart(t *testing.T) {
	following(t, "*.log", func(d *directory) {
		d.append("a.log", "{\"n\":1}\n")
		d.look()
		d.restart()
		d.append("a.log", "{\"n\":2}\n")
		d.append("b.log", "{\"n\":1}\n")
		d.look()
		d.restart()
		d.want(`{"n":1}`, `{"n":2}`, `{"n":1}`)
	})
}

func TestFollowFinishesARenamedFileBeforeItForgetsIt(t *testing.T) {
	following(t, "app.log", func(d *directory) {
		d.append("app.log", "{\"n\":1}\n")
		d.look()
		d.append("app.log", "{\"n\":2}\n")
		d.rename("app.log", "app.log.1")
		d.append("app.log", "{\"m\":1}\n")
		d.look()
		d.want(`{"n":1}`, `{"n":2}`, `{"m":1}`)
		time.Sleep(patience / 2 * pollInterval)
		d.append("app.log.1", "{\"n\":3}\n{\"n\":4}") // its writer still has it open
		d.look()
		d.want(`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"m":1}`)
		d.wait()
		d.want(`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"m":1}`)
	})
}

func TestFollowTakesADeletedFileToItsEnd(t *testing.T) {
	following(t, "app.log", func(d *directory) {
		d.append("app.log", "{\"n\":1}\n")
		d.look()
		d.append("app.log", "{\"n\":2}\n{\"n\":3}")
		d.ok(os.Remove(d.path("app.log")))
		d.wait()
		d.want(`{"n":1}`, `{"n":2}`, `{"n":3}`)
	})
}

func TestFollowKnowsARotatedFileThatItStillSees(t *testing.T) {
	for _, down := range []bool{false, true} {
		following(t, "app.log*", func(d *directory) {
			step := func() {
				if !down {
					d.look()
				} else {
					d.restart()
				}
			}
			d.append("app.log", "{\"n\":1}\n")
			d.look()
			if down {
				d.stop()
				d.stop = func() {}
			}
			d.append("app.log", "{\"n\":2}\n")
			d.rename("app.log", "app.log.1")
			d.append("app.log", "{\"m\":1}\n")
			step()
			d.want(`{"n":1}`, `{"n":2}`, `{"m":1}`)
			d.rename("app.log.1", "app.log.2")
			step()
			write(t, d.path("app.log.2.gz"), packed(t, "gzip", d.content("app.log.2")))
			d.ok(os.Remove(d.path("app.log.2")))
			step()
			d.wait()
			d.append("app.log", "{\"m\":2}\n")
			step()
			d.want(`{"n":1}`, `{"n":2}`, `{"m":1}`, `{"m":2}`)
		})
	}
}

func TestFollowReadsATruncatedFileAgainFromItsStart(t *testing.T) {
	for name, next := range map[string]string{
		"another first line": "{\"m\":1}\n", "the same first line": "{\"n\":1}\n",
		"longer than before": "{\"m\":1}\n{\"m\":2}\n{\"m\":3}\n",
	} {
		for _, copied := range []string{"elsewhere", "app.log.1"} {
			t.Run(name+" "+copied, func(t *testing.T) {
				following(t, "app.log*", func(d *directory) {
					first := []string{`{"n":1}`, `{"n":2}`}
					d.append("app.log", strings.Join(first, "\n")+"\n")
					d.look()
					write(t, d.path(copied), d.content("app.log"))
					d.look()
					d.ok(os.Truncate(d.path("app.log"), 0))
					if len(next) < 10 {
						d.look() // a longer one would not be noticed by its size
					}
					d.append("app.log", next)
					d.look()
					second := strings.Split(strings.TrimSpace(next), "\n")
					d.want(append(slices.Clone(first), second...)...)
					d.restart()
					d.append("app.log", "{\"last\":1}\n")
					d.look()
					d.want(slices.Concat(first, second, []string{`{"last":1}`})...)
				})
			})
		}
	}
}

func TestFollowTellsFilesWithTheSameFirstLineApart(t *testing.T) {
	const head = "{\"start\":1}\n"
	for name, replace := range map[string]func(d *directory){
		"renamed": func(d *directory) {
			d.rename("app.log", "old")
			d.append("app.log", head+"{\"m\":1}\n")
		},
		"truncated": func(d *directory) {
			d.ok(os.Truncate(d.path("app.log"), 0))
			d.look()
			d.append("app.log", head+"{\"m\":1}\n")
		},
		"truncated while down": func(d *directory) {
			d.append("app.log", "{\"n\":2}\n{\"n\":2}\n{\"n\":2}\n")
			d.wait()
			d.stop()
			d.ok(os.Truncate(d.path("app.log"), 0))
			d.append("app.log", head+"{\"m\":1}\n")
			d.run()
		},
	} {
		t.Run(name, func(t *testing.T) {
			following(t, "app.log", func(d *directory) {
				d.append("app.log", head+"{\"n\":1}\n")
				d.look()
				replace(d)
				d.look()
				d.append("app.log", "{\"m\":2}\n")
				d.look()
				all := []string{`{"start":1}`, `{"n":1}`, `{"start":1}`, `{"m":1}`, `{"m":2}`}
				if name == "truncated while down" {
					all = append(all, `{"n":2}`, `{"n":2}`, `{"n":2}`)
				}
				d.want(all...)
			})
		})
	}
}

func TestFollowWaitsForAPackedFileToBeWhole(t *testing.T) {
	following(t, "*.gz", func(d *directory) {
		whole := packed(t, "gzip", text(events(2000)))
		write(t, d.path("a.gz"), whole[:len(whole)/2])
		d.look()
		if err := d.env.LastStatus(); err == nil || !strings.Contains(err.Error(), "a.gz") {
			t.Fatal(err)
		}
		write(t, d.path("a.gz"), whole)
		d.look()
		d.want(events(2000)...)
		if err := d.env.LastStatus(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFollowTakesJSONAsItGrows(t *testing.T) {
	following(t, "nothing", func(d *directory) {
		d.c.Paths, d.c.Format = []string{d.path("a.json")}, "json"
		d.restart()
		d.append("a.json", "[{\"n\":1},\n{\"n\"")
		d.look()
		d.want(`{"n":1}`)
		d.append("a.json", ":2}\n,{\"n\":3}]")
		d.look()
		d.want(`{"n":1}`, `{"n":2}`, `{"n":3}`)
	})
}

func TestFollowCopesWithALineThatIsTooLong(t *testing.T) {
	following(t, "app.log", func(d *directory) {
		d.c.MaxRecord = 100
		d.restart()
		d.append("app.log", "{\"n\":1}\n"+strings.Repeat("x", 150))
		d.look()
		d.append("app.log", strings.Repeat("y", 150)+"\n{\"n\":2}\n")
		d.look()
		d.want(`{"n":1}`, `{"n":2}`)
		if got := d.env.Rejected(); len(got) != 1 || got[0].Size != 300 || !bytes.HasSuffix(got[0].Data, []byte("xy"+strings.Repeat("y", 149))) {
			t.Fatalf("rejected %+v", got)
		}
	})
}

func TestFollowReportsItsProgress(t *testing.T) {
	following(t, "*.log", func(d *directory) {
		d.append("a.log", "{\"n\":1}\n{\"n\"")
		d.look()
		if done, total := d.env.LastProgress(); done != 8 || total != 12 {
			t.Fatalf("%d of %d", done, total)
		}
	})
}
