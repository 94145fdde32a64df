package sql_test

import (
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

func TestAQuerySaysWhichFieldsWithinColumnsItReads(t *testing.T) {
	const schema = "ts timestamp, bid{auction bigint, extra string, at{x bigint, y bigint}}, k string"
	in := column.Within
	for text, want := range map[string][]string{
		"SELECT bid.auction, bid.at.x AS x FROM s WHERE k = 'a'": {"k", in("bid", "auction"), in("bid", "at", "x")},
		"SELECT bid.at AS at, bid.at.x AS x FROM s":              {in("bid", "at"), in("bid", "at", "x")},
		"SELECT * FROM s": {"ts", "bid", "k"},
		"SELECT k, MAX(bid.auction) AS m FROM s WHERE bid.at.y > 1 GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k":            {in("bid", "at", "y"), "k", in("bid", "auction"), "ts"},
		"SELECT LAST(bid) AS l FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), bid.auction":                               {in("bid", "auction"), "bid", "ts"},
		"SELECT x FROM (SELECT bid.auction AS x FROM s) AS t WHERE x > 3":                                                  {"bid"},
		"SELECT COUNT(*) FILTER (WHERE bid.at.x IS NULL) AS n FROM s GROUP BY SESSION(ts, INTERVAL '1' MINUTE), bid.extra": {in("bid", "extra"), in("bid", "at", "x"), "ts"},
	} {
		if got := compile(t, schema, "ts", text).Paths(0); !slices.Equal(got, want) {
			t.Errorf("%s reads %q, want %q", text, got, want)
		}
	}
}
