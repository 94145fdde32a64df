package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/config"
)

// shop is a configuration with one key of every kind.
type shop struct {
	Name    string            `yaml:"name" required:"true"`
	Motto   string            `yaml:"motto"`
	Size    config.Size       `yaml:"size" min:"1KiB" max:"1GiB"`
	Age     config.Duration   `yaml:"age" min:"1s"`
	Pause   time.Duration     `yaml:"pause"`
	Token   config.Secret     `yaml:"token"`
	Workers int               `yaml:"workers" min:"1" max:"64"`
	Small   uint8             `yaml:"small"`
	Ratio   float64           `yaml:"ratio" max:"1"`
	Open    bool              `yaml:"open"`
	Codec   string            `yaml:"codec" enum:"none,gzip,zstd"`
	Since   time.Time         `yaml:"since"`
	Limit   *int              `yaml:"limit"`
	Paths   []string          `yaml:"paths"`
	Needed  []string          `yaml:"needed"`
	Labels  map[string]string `yaml:"labels"`
	Buffer  buffer            `yaml:"buffer"`
	Doors   []door            `yaml:"doors"`
	Rooms   config.Map[room]  `yaml:"rooms"`
	common  `yaml:",inline"`
	Hidden  string `yaml:"-"`
}

type common struct {
	Host string `yaml:"host"`
}

type buffer struct {
	Rows int         `yaml:"rows"`
	Size config.Size `yaml:"size"`
}

func (b *buffer) Validate() []config.Problem {
	var found []config.Problem
	if b.Rows < 0 {
		found = append(found, config.Problemf("rows", "must not be negative"))
	}
	if b.Rows > 0 && b.Size > 0 {
		found = append(found, config.Problemf("", "rows and size exclude each other"))
	}
	return found
}

type door struct {
	Color string `yaml:"color" required:"true" enum:"red,green"`
}

type room struct {
	Beds int      `yaml:"beds" min:"1"`
	Tags []string `yaml:"tags" required:"true"`
}

func (r *room) SetDefaults() { r.Beds = 2 }

func (s *shop) Validate() []config.Problem {
	var found []config.Problem
	if strings.HasPrefix(s.Host, "http") {
		found = append(found, config.Problemf("host", "%q is a URL; write the host alone", s.Host))
	}
	for _, p := range s.Paths {
		if p == "" {
			found = append(found, config.Problemf("paths[1]", "empty path"))
		}
	}
	if s.Codec == "gzip" && s.Ratio > 0 {
		found = append(found, config.Problemf("ratio", "goes with zstd only"))
	}
	return found
}

func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"NUMBER": "8", "WORD": "sesame", "EMPTY": "", "URL": "http://user:pass@host", "LINES": "a: 1\nb: [", "BINARY": "\xff",
	}[name]
	return value, ok
}

func decode(t *testing.T, text string, into ...any) *config.Decoder {
	t.Helper()
	d := config.NewDecoder("shop.yaml", config.Options{Getenv: environment, ReadFile: func(path string) ([]byte, error) {
		if path == "key.txt" {
			return []byte("from a file\n"), nil
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}})
	d.Decode(d.Parse([]byte(text)), into...)
	return d
}

// The files in testdata/bad are cases behind each other: a line "=== name", the text, a line "---",
// the messages.
func TestEveryMistakeIsReportedAtItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	count := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases := strings.Split("\n"+string(data), "\n=== ")[1:]
		for _, c := range cases {
			count++
			name, rest, _ := strings.Cut(c, "\n")
			text, want, ok := strings.Cut(rest, "\n--- want\n")
			if !ok {
				t.Fatalf("%s: %s: no want", file, name)
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				d := decode(t, text+"\n", &shop{})
				got := ""
				if err := d.Err(); err != nil {
					var all config.Errors
					if !errors.As(err, &all) || len(all) == 0 {
						t.Fatalf("error is %T", err)
					}
					got = err.Error()
				}
				if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" {
					t.Errorf("-want +got\n%s\ngot:\n%s", diff, got)
				}
			})
		}
	}
	if count < 60 {
		t.Errorf("only %d cases", count)
	}
}
