package temporal_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sql/temporal"
)

func TestEveryListedZoneIsOne(t *testing.T) {
	text, err := os.ReadFile("zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	if len(names) < 500 || !slices.IsSorted(names) {
		t.Errorf("%d names, sorted %v", len(names), slices.IsSorted(names))
	}
	for _, name := range names {
		if _, err := temporal.LoadZone(name); err != nil {
			t.Error(err)
		}
	}
}
