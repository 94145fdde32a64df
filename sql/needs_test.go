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
		"SELECT bid.auction, bid.at.x AS x FROM s WHERE k = 'a'": {in("bid", "auction"), in("bid", "at", "x"), "k"},
		"SELECT bid.at AS at, bid.at.x AS x FROM s":              {in("bid", "at")},
		"SELECT * FROM s": {"ts", "bid", "k"},
		"SELECT k, MAX(bid.auction) AS m FROM s WHERE bid.at.y > 1 GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k":                                           {in("bid", "auction"), in("bid", "at", "y"), "k", "ts"},
		"SELECT LAST(bid) AS l FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), bid.auction":                                                              {"ts", "bid"},
		"SELECT x FROM (SELECT bid.auction AS x FROM s) AS t WHERE x > 3":                                                                                 {in("bid", "auction")},
		"SELECT y FROM (SELECT bid.auction AS x, bid.at.y AS y FROM s WHERE k = 'a') AS t":                                                                {in("bid", "at", "y"), "k"},
		"SELECT bid.auction AS x FROM s UNION ALL SELECT bid.at.x FROM s":                                                                                 {in("bid", "auction"), in("bid", "at", "x")},
		"SELECT SUM(x) AS n FROM (SELECT ts, bid.auction AS x FROM s UNION ALL SELECT ts, bid.at.x FROM s) AS t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)": {"ts", in("bid", "auction"), in("bid", "at", "x")},
		"SELECT ts, k, SUM(bid.auction) OVER (PARTITION BY k ORDER BY ts) AS n FROM s":                                                                    {in("bid", "auction"), "k", "ts"},
		"SELECT ts, bid, SUM(bid.auction) OVER (PARTITION BY k ORDER BY ts) AS n FROM s":                                                                  {in("bid", "auction"), "k", "ts", "bid"},
		"SELECT COUNT(*) FILTER (WHERE bid.at.x IS NULL) AS n FROM s GROUP BY SESSION(ts, INTERVAL '1' MINUTE), bid.extra":                                {in("bid", "extra"), in("bid", "at", "x"), "ts"},
	} {
		if got := compile(t, schema, "ts", text).Needs(0); !slices.Equal(got, want) {
			t.Errorf("%s reads %q, want %q", text, got, want)
		}
	}
}
