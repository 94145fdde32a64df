package sqltest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	cases := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := Parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		cases += len(parsed)
		for _, c := range parsed {
			t.Run(filepath.Base(file)+"/"+c.Name, func(t *testing.T) {
				var ways []Way
				for n := range 16 {
					ways = append(ways, Way{RowByRow: n&1 != 0, Dict: n&2 != 0, Restart: n&4 != 0, Spill: n&6 == 6, Reversed: n&8 != 0})
				}
				for k := range 5 {
					ways = append(ways, Way{KillEvery: k + 1, Dict: k%2 == 0, Spill: k%3 == 0, Reversed: k == 3})
				}
				for n := range 8 {
					ways = append(ways, Way{Lanes: 3, RowByRow: n&1 != 0, Dict: n&1 == 0, Restart: n&2 != 0, Spill: n&2 != 0, Reversed: n&4 != 0})
				}
				ways = append(ways, Way{Lanes: 3, KillEvery: 2, Spill: true})
				for _, way := range ways {
					if err := c.Run(way); err != nil {
						t.Fatalf("%s:%d: %s: %v", file, c.Line, fmt.Sprintf("%+v", way), err)
					}
				}
			})
		}
	}
	if cases < 300 {
		t.Errorf("%d cases, expected at least 300", cases)
	}
}
