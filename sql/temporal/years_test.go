package temporal_test

import (
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/temporal"
)

// Rows that leave a query are read again as JSON.
func TestTheYearsOfTheDialectAreThoseOfColumns(t *testing.T) {
	for _, at := range []int64{temporal.MinTimestamp - 1, temporal.MinTimestamp, temporal.MaxTimestamp, temporal.MaxTimestamp + 1} {
		text := column.AppendTimestamp(nil, at)
		got, err := column.ParseTimestamp(text)
		if temporal.InYears(at) != (err == nil && got == at) {
			t.Errorf("%s is within the years of SQL: %v, as a column it is %d, %v", text, temporal.InYears(at), got, err)
		}
		if _, err := column.ParseTimestamp(column.AppendTimestamp(nil, temporal.Within(at))); err != nil {
			t.Error(err)
		}
	}
}
